use std::sync::Arc;

use rune::ast;
use rune::{Context, Diagnostics, Source, Sources};

use super::*;

/// The stack that scripts are parsed and compiled on.
const STACK: usize = 64 << 20;

/// A way of nesting, written so many times.
type Nested = fn(usize) -> String;

fn around(open: &str, inner: &str, close: &str, times: usize) -> String {
    format!("pub fn main(a) {{ {}{inner}{} }}", open.repeat(times), close.repeat(times))
}

/// Every way that was found to put one thing into another, with its code when there is too much of it.
const NESTED: &[(&str, &str, Nested)] = &[
    ("parentheses", "script.too_nested", |n| around("(", "1", ")", n)),
    ("tuples", "script.too_nested", |n| around("(", "1", ",)", n)),
    ("lists", "script.too_nested", |n| around("[", "1", "]", n)),
    ("objects", "script.too_nested", |n| around("#{a: ", "1", "}", n)),
    ("blocks", "script.too_nested", |n| around("{", "1", "}", n)),
    ("async blocks", "script.too_nested", |n| around("async {", "1", "}", n)),
    ("templates", "script.too_nested", |n| around("`a${", "1", "}b`", n)),
    ("templates in parentheses", "script.too_nested", |n| around("(`${", "1", "}`)", n)),
    ("calls in calls", "script.too_nested", |n| around("a(", "1", ")", n)),
    ("indices in indices", "script.too_nested", |n| around("a[", "1", "]", n)),
    ("ifs in ifs", "script.too_nested", |n| around("if a {", "1", "}", n)),
    ("elses in elses", "script.too_nested", |n| around("if a {} else {", "1", "}", n)),
    ("matches in matches", "script.too_nested", |n| around("match a { _ => ", "1", "}", n)),
    ("loops in loops", "script.too_nested", |n| around("loop {", "1", "}", n)),
    ("fors in fors", "script.too_nested", |n| around("for a in a {", "1", "}", n)),
    ("whiles in whiles", "script.too_nested", |n| around("while a {", "1", "}", n)),
    ("functions in functions", "script.too_nested", |n| around("fn a() {", "1", "}", n)),
    ("closures in closures", "script.too_nested", |n| around("|a| {", "1", "}", n)),
    ("closures in calls", "script.too_nested", |n| around("a(|a, b| ", "1", ")", n)),
    ("macros in macros", "script.too_nested", |n| around("format!(\"{}\", ", "1", ")", n)),
    ("modules in modules", "script.too_nested", |n| format!("{}{}", "mod a {".repeat(n), "}".repeat(n))),
    ("uses in uses", "script.too_nested", |n| format!("use a::{}b{};", "{a::".repeat(n), "}".repeat(n))),
    ("patterns of tuples", "script.too_nested", |n| {
        format!("pub fn main(a) {{ let {}a{} = a; }}", "(".repeat(n), ",)".repeat(n))
    }),
    ("patterns of lists", "script.too_nested", |n| {
        format!("pub fn main(a) {{ if let {}a{} = a {{ }} }}", "[".repeat(n), "]".repeat(n))
    }),
    ("patterns of objects", "script.too_nested", |n| {
        format!("pub fn main(a) {{ match a {{ {}a{} => 1 }} }}", "#{a: ".repeat(n), "}".repeat(n))
    }),
    ("negations", "script.too_chained", |n| around("-", "1", "", n)),
    ("nots", "script.too_chained", |n| around("!", "a", "", n)),
    ("references", "script.too_chained", |n| around("& ", "a", "", n)),
    ("dereferences", "script.too_chained", |n| around("*", "a", "", n)),
    ("sums", "script.too_chained", |n| around("1 + ", "1", "", n)),
    ("sums and products", "script.too_chained", |n| around("1 + 1 * ", "1", "", n)),
    ("all precedences", "script.too_chained", |n| {
        around("a || a && a == a | a ^ a & a << a + a * ", "a", "", n)
    }),
    ("ors", "script.too_chained", |n| around("a || ", "a", "", n)),
    ("ands", "script.too_chained", |n| around("a && ", "a", "", n)),
    ("pipes", "script.too_chained", |n| around("a | ", "a", "", n)),
    ("sums of objects", "script.too_chained", |n| around("#{} + ", "#{}", "", n)),
    ("sums of closures", "script.too_chained", |n| around("a | |a, b| ", "a", "", n)),
    ("assignments", "script.too_chained", |n| around("a = ", "a", "", n)),
    ("assignments of sums", "script.too_chained", |n| around("a += ", "a", "", n)),
    ("ranges", "script.too_chained", |n| around("a..", "a", "", n)),
    ("ranges without a start", "script.too_chained", |n| {
        around("..", "a", "", n).replace("....", ".. ..").replace("....", ".. ..")
    }),
    ("casts", "script.too_chained", |n| around("", "a", " as a", n)),
    ("type tests", "script.too_chained", |n| around("", "a", " is a", n)),
    ("fields", "script.too_chained", |n| around("", "a", ".a", n)),
    ("methods", "script.too_chained", |n| around("", "a", ".a()", n)),
    ("tuple fields", "script.too_chained", |n| around("", "a", ".0 ", n)),
    ("calls of calls", "script.too_chained", |n| around("", "a", "()", n)),
    ("indices of indices", "script.too_chained", |n| around("", "a", "[0]", n)),
    ("tries", "script.too_chained", |n| around("", "a", "?", n)),
    ("awaits", "script.too_chained", |n| around("", "a", ".await", n).replace("pub fn", "pub async fn")),
    ("closures", "script.too_chained", |n| around("|a| ", "1", "", n)),
    ("closures of two", "script.too_chained", |n| around("|a, b| ", "1", "", n)),
    ("closures of patterns", "script.too_chained", |n| around("|(a, b), #{c}| ", "1", "", n)),
    ("closures of nothing", "script.too_chained", |n| around("|| ", "1", "", n)),
    ("async closures", "script.too_chained", |n| around("async move |a, b| ", "1", "", n)),
    ("returns", "script.too_chained", |n| around("return ", "1", "", n)),
    ("breaks", "script.too_chained", |n| around("break ", "1", "", n)),
    ("yields", "script.too_chained", |n| around("yield ", "1", "", n)),
    ("lets in lets", "script.too_chained", |n| around("let a = ", "1", "", n)),
    ("conditions of ifs", "script.too_chained", |n| around("if ", "a {}", " {}", n)),
    ("conditions with lets", "script.too_chained", |n| around("if let a = ", "a {}", " {}", n)),
    ("conditions of whiles", "script.too_chained", |n| around("while ", "a {}", " {}", n)),
    ("iterators of fors", "script.too_chained", |n| around("for a in ", "a {}", " {}", n)),
    ("matches of matches", "script.too_chained", |n| around("match ", "a", " {}", n)),
    ("else ifs", "script.too_chained", |n| around("", "if a {}", " else if a {}", n)),
    ("paths", "script.too_chained", |n| around("a::", "a", "", n)),
    ("generics", "script.too_chained", |n| around("a::<", "a", "> ", n)),
    ("generics of two", "script.too_chained", |n| around("a::<a, ", "a", "> ", n)),
    ("bindings", "script.too_chained", |n| {
        format!("pub fn main(a) {{ match a {{ {}a => 1 }} }}", "a: ".repeat(n))
    }),
    ("negated patterns", "script.too_chained", |n| {
        format!("pub fn main(a) {{ match a {{ {}1 => 1 }} }}", "-".repeat(n))
    }),
    ("negations in every parenthesis", "script.too_chained", |n| around("--------(", "1", ")", n)),
    ("chains in every block", "script.too_chained", |n| {
        around("a.a.a.a.a.a.a.a.a.a.a.a.a.a.a({", "1", "})", n)
    }),
];

/// The greatest number of times that passes, by halving.
fn most(nested: Nested) -> usize {
    let (mut passes, mut fails) = (1_usize, 20_000);
    while fails - passes > 1 {
        let middle = passes.midpoint(fails);
        match check("main.rn", &nested(middle)) {
            Ok(()) => passes = middle,
            Err(_) => fails = middle,
        }
    }
    passes
}

/// Parses and compiles as deploys do, and drops what came of it; whether it compiles does not matter.
fn compile(source: &str) {
    for shebang in [false, true] {
        drop(Parser::new(source, SourceId::EMPTY, shebang).parse_all::<ast::File>());
    }
    let context = Context::with_default_modules().unwrap();
    let mut sources = Sources::new();
    sources.insert(Source::memory(source).unwrap()).unwrap();
    let mut diagnostics = Diagnostics::new();
    drop(
        rune::prepare(&mut sources)
            .with_context(&context)
            .with_diagnostics(&mut diagnostics)
            .build()
            .map(Arc::new),
    );
}

fn on_the_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap();
}

#[test]
fn every_way_of_nesting_is_bounded_and_what_passes_parses_and_compiles() {
    for (what, code, nested) in NESTED {
        let most = most(*nested);
        println!("{what}: {most}");
        let refused = check("main.rn", &nested(most + 1)).expect_err(what);
        assert_eq!(&refused.code, code, "{what} at {most}");
        assert!(refused.line == 1 && refused.column > 1, "{what}: {refused:?}");
        assert!((10..=LINKS_MAX).contains(&most), "{what}: {most} is no use to anybody");
        on_the_stack(move || compile(&nested(most)));
    }
}

#[test]
fn the_limits_are_what_they_say() {
    let times = |what: &str| {
        let (_, _, nested) = NESTED.iter().find(|(name, ..)| *name == what).unwrap();
        most(*nested)
    };
    // The function's own brace is open too, and counts as a link as its parameters did not.
    assert_eq!(times("parentheses"), DEPTH_MAX - 1);
    // A template opens two brackets more for as long as its marker is read.
    assert_eq!(times("templates"), DEPTH_MAX - 2);
    for what in ["negations", "sums", "fields", "tries", "calls of calls"] {
        assert!((LINKS_MAX - 3..=LINKS_MAX).contains(&times(what)), "{what}: {}", times(what));
    }
}

#[test]
fn a_long_script_that_is_flat_passes_and_compiles() {
    let flat: Vec<(&str, String)> = vec![
        (
            "functions",
            "/// Adds.\npub fn f(a, b) { if a > b { a + b } else { `${a} and ${b}` } }\n".repeat(2_000),
        ),
        ("statements", format!("pub fn main() {{ {} }}", "let a = -1 + 2 * 3;\n".repeat(5_000))),
        ("calls", format!("pub fn main(a) {{ {} }}", "a.push(|x| x.y(1));\n".repeat(5_000))),
        ("blocks", format!("pub fn main(a) {{ {} }}", "if a { a } \n for x in a { x }\n".repeat(2_000))),
        ("a list", format!("pub fn main() {{ [{}] }}", "-1,\n".repeat(5_000))),
        ("a list of objects", format!("pub fn main() {{ [{}] }}", "#{ a: -1, b: [2] },\n".repeat(3_000))),
        (
            "arms",
            format!(
                "pub fn main(a) {{ match a {{ {} }} }}",
                "1 if a > 1 => a.b(), 2 => { a }\n".repeat(2_000)
            ),
        ),
        ("a template", format!("pub fn main(a) {{ `{}` }}", "${a.b + 1} and\n".repeat(2_000))),
        ("comments", "/// A line.\n".repeat(10_000) + "pub fn main() {}"),
        ("plain comments", "// ((((((((((((((((((\n".repeat(5_000) + "/* {{{{ */ pub fn main() {}"),
    ];
    for (what, source) in flat {
        check("main.rn", &source).unwrap_or_else(|refused| panic!("{what}: {refused}"));
        on_the_stack(move || compile(&source));
    }
}

#[test]
fn brackets_in_texts_and_comments_are_not_counted() {
    let many = "([{".repeat(100);
    for source in [
        format!("pub fn main() {{ \"{many}\" }}"),
        format!("pub fn main() {{ \"\\\"{many}\" }}"),
        format!("pub fn main() {{ `{many} \\` \\${{` }}"),
        format!("pub fn main() {{ b\"{many}\" }}"),
        format!("// {many}\npub fn main() {{ '(' }}"),
        format!("/* {many} */ pub fn main() {{ '\\'' }}"),
        format!("/// {many}\npub fn main() {{ b'(' }}"),
        format!("#!{many}\npub fn main() {{}}").replace("#!([{", "#!/"),
    ] {
        let result = check("main.rn", &source);
        // The first line is read both ways, so a line that only one of them skips is not taken.
        assert_eq!(result.is_ok(), !source.starts_with("#!"), "{source} {result:?}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    for (source, code, place) in [
        ("pub fn main() {\n  (1]\n}", "script.unbalanced", (2, 5)),
        ("pub fn main() { }\n}", "script.unbalanced", (2, 1)),
        ("pub fn main() {\n", "script.unbalanced", (1, 15)),
        ("pub fn main() { `a${(}` }", "script.unbalanced", (1, 23)),
        ("#[a )]\nfn main() {}", "script.unbalanced", (1, 5)),
        ("pub fn main() { a!([)) }", "script.unbalanced", (1, 21)),
        ("pub fn main() { \"a }", "script.syntax", (1, 17)),
        ("pub fn main() { `a }", "script.syntax", (1, 21)),
        ("pub fn main() { /* }", "script.syntax", (1, 17)),
        ("pub fn main() { § }", "script.syntax", (1, 17)),
    ] {
        let refused = check("main.rn", source).expect_err(source);
        assert_eq!(
            (refused.code.as_ref(), (refused.line, refused.column)),
            (code, place),
            "{source}: {refused}"
        );
    }
    let long = format!("\n{}\n", "é".repeat(LINE_MAX + 1));
    assert_eq!(check("main.rn", &long).unwrap_err().code, "script.line_too_long");
    assert!(check("main.rn", &format!("// {}\n", "é".repeat(LINE_MAX - 3))).is_ok());
    assert_eq!(check("main.rn", &" \n".repeat(SOURCE_MAX)).unwrap_err().code, "script.too_large");
}

#[test]
fn a_name_that_the_engine_would_give_up_on_is_refused_with_its_place() {
    for (sigil, before, after) in [("", "let ", " = 1;"), ("'", "", ": loop { }")] {
        let source = |length: usize| {
            let name = format!("{sigil}{}", "a".repeat(length - sigil.len()));
            format!("pub fn main(request) {{\n    {before}{name}{after}\n}}")
        };
        for length in [NAME_MAX + 1, 19_000] {
            let refused = check("main.rn", &source(length)).unwrap_err();
            assert_eq!((refused.code.as_ref(), refused.line), ("script.name_too_long", 2), "{refused}");
        }
        assert!(check("main.rn", &source(NAME_MAX)).is_ok());
    }
}
