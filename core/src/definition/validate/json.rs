//! From JSON to a definition in one go.
//!
//! Invariant: problems of shape and of sense come in one list, without those that merely follow from what could not be read.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::Definition;
use super::super::draft::{Draft, KINDS, json};
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
    /// Whether something is among them that other steps depend on: what a step does, returns or waits for.
    shapeless: bool,
}

/// Fields of a step that other steps depend on, kinds apart.
const SHAPE: [&str; 6] = ["name", "labels", "when", "needs", "either", "input"];

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
        let shapeless = paths.iter().any(|path| path == "steps" || is_shape(path));
        Unread {
            paths,
            nameless,
            shapeless,
        }
    }

    /// Whether a problem of sense is merely what comes of reading nothing there.
    fn explains(&self, problem: &Problem) -> bool {
        let path = problem.path.as_str();
        let parents = path.match_indices(['.', '[']).map(|(end, _)| &path[..end]);
        let unread = parents
            .chain(["", path])
            .any(|path| self.paths.contains(path));
        unread
            || (self.nameless && problem.code == ProblemCode::UnknownStep)
            || (self.shapeless && depends_on_others(problem))
            || (is_lack(problem.code) && self.paths.iter().any(|unread| unread.starts_with(path)))
    }
}

/// Whether a path is that of a whole step, or inside of something that other steps depend on.
fn is_shape(path: &str) -> bool {
    let Some((_, inner)) = path.strip_prefix("steps[").and_then(|p| p.split_once(']')) else {
        return false;
    };
    let field = inner.trim_start_matches('.').split(['.', '[']).next();
    let field = field.unwrap_or_default();
    field.is_empty() || SHAPE.contains(&field) || KINDS.contains(&field)
}

/// Whether a problem is one of steps that do not fit together.
fn depends_on_others(problem: &Problem) -> bool {
    let codes = [
        ProblemCode::LabelNeverReturned,
        ProblemCode::NeverFails,
        ProblemCode::UnwiredOutcome,
        ProblemCode::SkippableNeed,
        ProblemCode::SkippableResult,
        ProblemCode::ConflictingContracts,
    ];
    let mark = problem.code == ProblemCode::OptionWithoutEffect && problem.path.ends_with(".mark");
    mark || codes.contains(&problem.code)
}

/// Whether a problem is that a list has nothing in it.
fn is_lack(code: ProblemCode) -> bool {
    [ProblemCode::NoConditions, ProblemCode::NoAlternatives].contains(&code)
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
    fn what_a_step_does_not_say_is_not_held_against_those_that_depend_on_it() {
        let found = changed(|draft| {
            draft["steps"][1]["labels"] = json!("fraud");
            draft["steps"][6]["approval"] = json!({"deadline": "soon"});
            draft["steps"][8]["when"]["label"] = json!(5);
            draft["steps"][9]["route"] = json!([{"label": "big"}]);
            draft["steps"][11]["each"] = json!(null);
            draft["steps"][13]["input"] = json!(["failure(parcels)x"]);
        });
        assert_eq!(
            found,
            [
                problem("steps[1].labels", "wrong_type"),
                problem("steps[6].approval.deadline", "malformed_span"),
                problem("steps[8].when.label", "wrong_type"),
                problem("steps[9].route[0].equals", "missing_field"),
                problem("steps[11].handler", "missing_field"),
                problem("steps[13].input[0]", "malformed_source"),
            ]
        );
        let found = changed(|draft| {
            draft["steps"][1]["timeout"] = json!("soon");
            draft["steps"][5]["when"]["label"] = json!("maybe");
        });
        assert_eq!(
            found,
            [
                problem("steps[1].timeout", "malformed_span"),
                problem("steps[5].when.label", "label_never_returned"),
            ]
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
