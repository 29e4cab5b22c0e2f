//! The tables of `docs/ERRORS.md`, for tests that compare them with what there is.
//!
//! Invariant: a word is what a cell has between backticks.

use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../docs/ERRORS.md");

/// The rows of the tables under a heading, each as its cells, up to the next heading.
pub(crate) fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let mut lines = PAGE.lines();
    let found = lines.by_ref().any(|line| line == heading);
    assert!(found, "docs/ERRORS.md has no heading {heading:?}");
    let table = lines
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with('|'));
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect();
    // A head and a rule come first.
    table.skip(2).map(cells).collect()
}

/// The words of a cell.
pub(crate) fn words(cell: &'static str) -> impl Iterator<Item = &'static str> {
    cell.split('`').skip(1).step_by(2)
}

/// The words that the rows under a heading are about.
pub(crate) fn entries(heading: &str) -> BTreeSet<&'static str> {
    let rows = rows(heading);
    let firsts: Vec<&str> = rows.iter().flat_map(|row| words(row[0])).collect();
    let distinct: BTreeSet<&str> = firsts.iter().copied().collect();
    assert_eq!(firsts.len(), distinct.len(), "{heading} has an entry twice");
    distinct
}

/// The names of an enum's variants, which does not compile while one is missing.
macro_rules! variants {
    ($error:ident { $($variant:ident),* $(,)? }) => {{
        const _: fn(&$error) = |error| match error {
            $($error::$variant { .. } => {})*
        };
        [$(stringify!($variant)),*]
    }};
}
pub(crate) use variants;
