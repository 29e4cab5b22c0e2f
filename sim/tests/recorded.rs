//! Failures of the past, as `squid-mesh-sim shrink --out` wrote them: none of them happens again.

use std::path::{Path, PathBuf};

use squid_mesh_sim::shrink::Artefact;
use squid_mesh_sim::trace::Trace;

fn recorded() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let entries = std::fs::read_dir(folder).expect("the folder of recorded failures is here");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("its entries can be read").path())
        .collect();
    paths.sort();
    paths
}

#[test]
fn no_recorded_failure_happens_again() {
    let paths = recorded();
    assert!(!paths.is_empty());
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a recorded failure is text");
        let artefact = Artefact::read(&text).expect("a recorded failure is whole");
        let (case, setting) = (artefact.case().unwrap(), artefact.setting().unwrap());
        let outcome = case.run(setting, Trace::default(), u64::MAX);
        assert!(outcome.events > 0);
        let violation = outcome.violation;
        assert!(violation.is_none(), "{}: {violation:?}", path.display());
    }
}
