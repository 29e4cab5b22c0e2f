//! NUL characters, which not every store can hold.

use serde_json::{Value, json};

use crate::definition::{Definition, reader, samples};

/// Every text and key of some JSON, each given as where it is and what the JSON is with a NUL character in it.
fn spoiled(value: &Value, path: &str) -> Vec<(String, Value)> {
    match value {
        Value::String(text) => vec![(path.to_owned(), json!(format!("{text}\0")))],
        Value::Array(items) => {
            let within = items.iter().enumerate().flat_map(|(at, item)| {
                let inner = spoiled(item, &format!("{path}[{at}]"));
                inner.into_iter().map(move |(path, item)| {
                    let mut all = items.clone();
                    all[at] = item;
                    (path, Value::Array(all))
                })
            });
            within.collect()
        }
        Value::Object(fields) => {
            let mut all = Vec::new();
            for (key, field) in fields {
                let here = reader::field(path, key);
                for (path, field) in spoiled(field, &here) {
                    let mut other = fields.clone();
                    other.insert(key.clone(), field);
                    all.push((path, Value::Object(other)));
                }
                let mut other = fields.clone();
                let field = other.remove(key).expect("it is there");
                let key = format!("{key}\0");
                let here = reader::field(path, &key);
                other.insert(key, field);
                all.push((here, Value::Object(other)));
            }
            all
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// A draft with every construct, and with JSON of the author's wherever there may be some.
fn draft() -> Value {
    let mut draft = samples::order();
    let json = json!({"k": ["v", {"k": "v"}]});
    draft["triggers"][0]["schedule"] = json!({
        "cron": "0 9 * * *", "zone": "Europe/Berlin", "overlap": "skip", "catch_up": "latest", "payload": {"day": "today"},
    });
    draft["input"]["fields"]["extra"] = json!({"type": "any", "default": json});
    draft["steps"][3]["input"]["object"]["region"] = json!({"constant": json});
    draft["steps"][9]["route"][2]["equals"] = json.clone();
    draft["steps"][9]["route"][3]["in"][0] = json;
    draft
}

#[test]
fn a_nul_character_in_any_text_or_key_of_a_draft_is_a_problem_where_it_is() {
    Definition::parse(&draft()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let drafts = spoiled(&draft(), "");
    assert!(drafts.len() > 250, "{}", drafts.len());
    for (path, draft) in drafts {
        let problems = match Definition::parse(&draft) {
            Ok(_) => panic!("{path}: it is taken"),
            Err(problems) => problems,
        };
        let near = |problem: &str| path.starts_with(problem) || problem.starts_with(&*path);
        let located = problems
            .iter()
            .any(|problem| !problem.path.is_empty() && near(&problem.path));
        assert!(located, "{path}: {problems:#?}");
    }
}
