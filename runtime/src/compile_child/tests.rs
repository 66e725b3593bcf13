use std::collections::BTreeMap;

use super::*;

fn bundle() -> Bundle {
    let manifest =
        "team = \"tv\"\nscript = \"home\"\n[[endpoint]]\npath = \"/home\"\nhandler = \"main::main\"\n";
    let files: BTreeMap<_, _> = [("callboard.toml", manifest), ("main.rn", "pub fn main(request) { 1 }")]
        .into_iter()
        .map(|(path, text)| (path.parse().unwrap(), text.as_bytes().into()))
        .collect();
    Bundle::from_files(files).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}

/// A compiler whose child is this program of the shell.
fn compiler(program: &str, wall: Duration) -> Compiler {
    let arguments = vec!["-c".into(), program.into()];
    Compiler::new(CompilerConfig { arguments, wall, ..CompilerConfig::new("/bin/sh".into(), "") })
}

#[tokio::test]
async fn a_child_that_says_too_much_is_ended_at_once() {
    let endless =
        compiler("cat > /dev/null; while :; do head -c 1000000 /dev/zero; done", Duration::from_secs(60));
    for _ in 0..2 {
        let refused = endless.compile("tv", &bundle()).await.unwrap_err();
        assert_eq!(refused.code(), "compiler.too_large", "{refused}");
    }
}

#[tokio::test]
async fn a_child_that_says_nothing_is_ended_in_time() {
    let silent = compiler("exec sleep 600", Duration::from_millis(50));
    let refused = silent.compile("tv", &bundle()).await.unwrap_err();
    assert_eq!(refused.code(), "compiler.timeout", "{refused}");
}
