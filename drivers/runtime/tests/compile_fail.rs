//! Wiring mistakes are compile errors at the line that makes them, in words of this crate.

#[test]
fn wiring_mistakes_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
