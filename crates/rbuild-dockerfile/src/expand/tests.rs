use super::{expand, expand_words};

/// Values of the variables in all cases below.
fn lookup(name: &str) -> Option<String> {
    let value = match name {
        "v" => "value",
        "empty" => "",
        "path" => "/usr/lib/x.tar.gz",
        "stars" => "a*b?c\\d",
        "ports" => "80 443",
        "big" => return Some("x".repeat(1 << 10)),
        _ => return None,
    };
    Some(value.to_owned())
}

#[track_caller]
fn check(word: &str, expected: &str) {
    let shown = match expand(word, '\\', &lookup) {
        Ok(expanded) => expanded.text,
        Err(error) => format!("{}: {error}", error.offset()),
    };
    assert_eq!(shown, expected, "of {word}");
}

#[track_caller]
fn check_undefined(word: &str, expected: &[&str]) {
    assert_eq!(expand(word, '\\', &lookup).unwrap().undefined, expected);
}

#[test]
fn v3_names_end_where_letters_digits_and_underscores_end() {
    check("a${v}b", "avalueb");
    check("$v-x", "value-x");
    check("$v_x", "");
    check("$12v", "v");
    check("$é", "");
}

#[test]
fn v3_special_names_expand_to_nothing() {
    check("[$@$*$#$?$-$$$!$0]", "[]");
    check("${@}", "");
}

#[test]
fn v3_a_lone_dollar_stays() {
    check("$", "$");
    check("a$ b", "a$ b");
    check("\"$\"", "$");
}

#[test]
fn v2_undefined_names_are_empty_and_reported_once() {
    check_undefined("$x ${y} $x ${z#a} $v", &["x", "y", "z"]);
    check_undefined("${x-1} ${x:-1} ${x+1}", &[]);
}

#[test]
fn an_alternative_that_is_not_chosen_is_not_looked_up() {
    check_undefined("${v:-$x}${u:+$x}", &[]);
    check("${v:-${u:?no}}", "value");
}

#[test]
fn v4_single_quotes_are_literal() {
    check(r"'$v\n'", r"$v\n");
    check("'it''s'", "its");
}

#[test]
fn v4_double_quotes_expand_and_escape_three_characters() {
    check(r#""$v \" \$v \\ \n""#, r#"value " $v \ \n"#);
    check("\"'$v'\"", "'value'");
}

#[test]
fn v4_an_escape_makes_the_next_character_literal() {
    check(r#"\$v \" \' \a \\"#, r#"$v " ' a \"#);
    check("a\\", "a");
}

#[test]
fn d3_the_escape_character_may_be_a_backquote() {
    let text = |word| expand(word, '`', &lookup).unwrap().text;
    assert_eq!(text("C:\\`$v"), "C:\\$v");
    assert_eq!(text("\"`\"\""), "\"");
    assert_eq!(text("${stars#a`*}"), "b?c\\d");
}

#[test]
fn v4_unclosed_quotes_are_errors() {
    check("a'b", "1: the quote `'` is never closed");
    check("ab\"c\\\"", "2: the quote `\"` is never closed");
}

#[test]
fn v5_broken_substitutions_are_errors() {
    check("a${", "1: `${` is never closed");
    check("${v", "0: `${` is never closed");
    check("${v:", "0: `${` is never closed");
    check("${v:-a", "0: `${` is never closed");
    check("${u:?a", "0: `${` is never closed");
    check("${v/a", "0: `${` is never closed");
    check("${}", "0: there is no variable's name after `${`");
    check("${{v}", "0: there is no variable's name after `${`");
    check("${:-x}", "0: there is no variable's name after `${`");
}

#[test]
fn v5_unknown_operators_are_errors() {
    check("${v^^}", "3: unknown operator `^` in a substitution");
    check("${v:1}", "3: unknown operator `:1` in a substitution");
    check("${ v}", "2: unknown operator ` ` in a substitution");
}

#[test]
fn v6_patterns_have_no_colon_form() {
    check("${v:#a}", "3: unknown operator `:#` in a substitution");
    check("${v:%a}", "3: unknown operator `:%` in a substitution");
}

#[test]
fn v5_default() {
    check("${v:-w} ${empty:-w} ${u:-w}", "value w w");
    check("${v-w} ${empty-w} ${u-w}", "value  w");
}

#[test]
fn v5_alternative() {
    check("${v:+w} [${empty:+w}] [${u:+w}]", "w [] []");
    check("${v+w} ${empty+w} [${u+w}]", "w w []");
}

#[test]
fn v5_required() {
    check("${v:?w} ${v?w} [${empty?w}]", "value value []");
    check("${empty:?w}", "0: empty: w");
    check("${empty:?}", "0: empty: is not allowed to be empty");
    check("${u:?}", "0: u: is not allowed to be unset");
    check("x${u?no $v}", "1: u: no value");
}

#[test]
fn v6_words_of_operators_are_expanded() {
    check("${u:-${w:-\"$v\"}}", "value");
    check("${u:-'}'}", "}");
    check("${u:-\\}}", "}");
}

#[test]
fn v5_prefixes() {
    check("${path#*/}", "usr/lib/x.tar.gz");
    check("${path##*/}", "x.tar.gz");
    check("${path#/usr}", "/lib/x.tar.gz");
    check("${path#usr}", "/usr/lib/x.tar.gz");
    check("${path#?}", "usr/lib/x.tar.gz");
    check("[${empty#*}${u##*}]", "[]");
}

#[test]
fn v5_suffixes() {
    check("${path%.*}", "/usr/lib/x.tar");
    check("${path%%.*}", "/usr/lib/x");
    check("${path%/*}/y", "/usr/lib/y");
}

#[test]
fn v5_replacements() {
    check("${path/\\//_}", "_usr/lib/x.tar.gz");
    check("${path//\\//_}", "_usr_lib_x.tar.gz");
    check("${v/l*/L}", "vaL");
    check("${v/$v/$u}", "");
    check("${v//?/ab}", "ababababab");
    check("[${empty/*/x}]", "[]");
    check("${v//x/y}", "value");
}

#[test]
fn v7_replacements_of_buildah() {
    check("${v/#v/V}", "Value");
    check("${v/#a/V}", "value");
    check("${v/%ue/UE}", "valUE");
    check("${v/al}", "vue");
}

#[test]
fn v6_escapes_in_patterns() {
    check("${stars#a\\*}", "b?c\\d");
    check("${stars%\\?*}", "a*b");
    check("${stars##*\\\\}", "d");
    check("${stars#[a]}", "a*b?c\\d");
    check("${v#\\a}", "4: `\\a` cannot be used in a pattern");
}

#[test]
fn v8_unquoted_white_space_splits() {
    let words = |word| expand_words(word, '\\', &lookup).unwrap();
    assert_eq!(words("$ports"), ["80", "443"]);
    assert_eq!(words("1$ports/tcp"), ["180", "443/tcp"]);
    assert_eq!(words("\"$ports\" a\\ b"), ["80 443", "a b"]);
    assert_eq!(words("$u  \"\" "), Vec::<String>::new());
}

#[test]
fn expansion_depth_is_limited() {
    check(&("${u:-".repeat(64) + "x" + &"}".repeat(64)), "x");
    let deep = "${u:-".repeat(100_000) + &"}".repeat(100_000);
    check(
        &deep,
        "320: substitutions are nested deeper than the limit of 64",
    );
}

#[test]
fn expansion_size_is_limited() {
    assert_eq!(
        expand(&"$big".repeat(128), '\\', &lookup)
            .unwrap()
            .text
            .len(),
        128 << 10
    );
    let limit = "516: the expanded word is longer than the limit of 131072 bytes";
    check(&"$big".repeat(129), limit);
}

#[test]
fn hostile_patterns_end_soon() {
    let huge = |_: &str| Some("a".repeat(100_000));
    let word = format!("${{v//{}b/c}}", "*a".repeat(10_000));
    let error = expand(&word, '\\', &huge).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the patterns in the word take too long to match"
    );
    let discarded = "${u+$v}${e#$v}".repeat(50_000);
    assert!(expand(&discarded, '\\', &huge).is_err());
}
