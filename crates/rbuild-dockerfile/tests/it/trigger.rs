//! `ONBUILD` instructions as images have them: O1, O2.

use expect_test::{Expect, expect};
use rbuild_dockerfile::{Dockerfile, dump, parse, parse_trigger};

#[track_caller]
fn check(text: &str, expected: &Expect) {
    let (instructions, diagnostics) = parse_trigger(text);
    let (file, _) = parse("");
    let globals = instructions;
    let file = Dockerfile { globals, ..file };
    expected.assert_eq(&dump(&file, &diagnostics, text));
}

#[test]
fn o2_a_trigger_is_an_instruction() {
    check(
        "COPY --from=b c /d",
        &expect![[r#"
            1:1-19 COPY --from="b" "c" -> "/d"
        "#]],
    );
}

#[test]
fn o1_a_trigger_has_its_bodies() {
    check(
        "run cat <<A && <<B\nx\nA\ny\nB",
        &expect![[r#"
            1:1-19 RUN shell "cat <<A && <<B" <<"A" "x\n" <<"B" "y\n"
        "#]],
    );
}

#[test]
fn o1_not_everything_is_a_trigger() {
    check(
        "FROM a",
        &expect![[r#"
            1:1-7 error: `ONBUILD FROM` is not allowed
        "#]],
    );
    check(
        "ONBUILD RUN x",
        &expect![[r#"
            1:1-14 ONBUILD "RUN x"
                1:9-14 RUN shell "x"
            1:1-14 error: `ONBUILD ONBUILD` is not allowed
        "#]],
    );
    check("", &expect![""]);
    check(
        "RNU x",
        &expect![[r#"
            1:1-4 error: unknown instruction `RNU`
              hint: did you mean `RUN`?
        "#]],
    );
}

#[test]
fn a_trigger_of_any_size_ends_soon() {
    let (instructions, diagnostics) = parse_trigger(&"RUN x\n".repeat(2_000_000));
    assert_eq!((instructions.len(), diagnostics.len()), (0, 1));
}
