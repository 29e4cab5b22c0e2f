//! From JSON to a definition in one go.
//!
//! Invariant: problems of shape and of sense come in one list, without those that merely follow from what could not be read.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::Definition;
use super::super::draft::{Draft, json};
use super::super::problem::{Problem, ProblemCode, Problems};

impl Definition {
    /// Reads the JSON form of a draft and makes a definition of it; problems of shape and of sense come in one list.
    ///
    /// # Errors
    /// Says everything that has no place in a draft, and everything else that is wrong with it.
    pub fn parse(value: &Value) -> Result<Definition, Problems> {
        let (draft, mut problems) = Draft::read(value);
        if problems.is_empty() {
            return Definition::validate(draft);
        }
        if let Err(further) = Definition::validate(draft) {
            let unread = Unread::of(&problems);
            problems.extend(
                further
                    .into_iter()
                    .filter(|problem| !unread.explains(problem)),
            );
        }
        Err(Problems::none_of(problems).expect_err("there is a problem"))
    }

    /// Reads the JSON form of a draft from a text, as [`Definition::parse`].
    ///
    /// # Errors
    /// As [`Definition::parse`], and if the text is no JSON.
    pub fn parse_text(text: &str) -> Result<Definition, Problems> {
        Definition::parse(&json(text)?)
    }
}

/// The parts of a draft that could not be read.
struct Unread {
    paths: BTreeSet<String>,
    /// Whether the name of a step is among them.
    nameless: bool,
}

impl Unread {
    fn of(problems: &[Problem]) -> Unread {
        let paths: BTreeSet<String> = problems
            .iter()
            .map(|problem| problem.path.clone())
            .collect();
        let is_step = |path: &str| path.starts_with("steps[") && !path.contains('.');
        let is_name =
            |path: &str| path == "steps" || is_step(path.strip_suffix(".name").unwrap_or(path));
        let nameless = paths.iter().any(|path| is_name(path));
        Unread { paths, nameless }
    }

    /// Whether a problem of sense is merely what comes of reading nothing there.
    fn explains(&self, problem: &Problem) -> bool {
        let path = problem.path.as_str();
        let parents = path.match_indices(['.', '[']).map(|(end, _)| &path[..end]);
        let unread = parents
            .chain(["", path])
            .any(|path| self.paths.contains(path));
        unread || (self.nameless && problem.code == ProblemCode::UnknownStep)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{changed, four_problems, problem};
    use super::*;

    #[test]
    fn problems_of_shape_and_of_sense_come_together_without_those_that_merely_follow() {
        let found = changed(|draft| {
            draft["colour"] = json!("red");
            draft["steps"][0]["handler"] = json!(5);
            draft["steps"][1]["retry"] = json!({"max_attempts": 0, "retires": 3});
            draft["steps"][3]["needs"] = json!(["ghost"]);
        });
        assert_eq!(
            found,
            [
                problem("colour", "unknown_field"),
                problem("steps[0].handler", "wrong_type"),
                problem("steps[1].retry.retires", "unknown_field"),
                problem("steps[1].retry.max_attempts", "invalid_retry"),
                problem("steps[3].needs[0]", "unknown_step"),
            ]
        );
        assert_eq!(
            changed(|draft| draft["steps"] = json!("none")),
            [problem("steps", "wrong_type"),]
        );
        assert_eq!(
            changed(|draft| draft["steps"][1]["name"] = json!(null)),
            [problem("steps[1].name", "missing_field"),]
        );
    }

    #[test]
    fn a1_3_the_same_draft_gives_the_same_list_every_time_and_for_every_order_of_keys() {
        let mut draft = four_problems();
        draft["steps"][2]["zz"] = json!(1);
        draft["steps"][2]["aa"] = json!(1);
        let first = Definition::parse(&draft).unwrap_err();
        for _ in 0..100 {
            assert_eq!(Definition::parse(&draft).unwrap_err(), first);
        }
        let turned = r#"{"steps": [
        {"retry": {"max_attempts": 0}, "handler": "pay", "name": "pay"},
        {"handler": "pay", "name": "pay"},
        {"zz": 1, "needs": ["ghost"], "aa": 1, "name": "9lives", "handler": "cat"}
    ], "version": 1, "name": "order"}"#;
        assert_eq!(Definition::parse_text(turned).unwrap_err(), first);
    }
}
