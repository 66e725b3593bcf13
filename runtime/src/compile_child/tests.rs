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

/// A compiler whose fork server is played: each child does this with the sockets of its bundle and its end.
fn compiler(wall: Duration, child: fn(UnixStream, UnixStream)) -> Compiler {
    let (forks, orders) = Forks::played();
    std::thread::spawn(move || {
        while let Ok(Some((work, end))) = fork_server::order(&orders) {
            std::thread::spawn(move || child(work, end));
        }
    });
    Compiler { wall, prompt: PROMPT, forks, turns: Turns::new(1, 256) }
}

#[tokio::test]
async fn a_child_that_says_too_much_is_ended_at_once() {
    let endless = compiler(Duration::from_secs(60), |mut work, mut end| {
        end.write_all(&[fork_server::BEGAN]).unwrap();
        while work.write_all(&[0; 1_000_000]).is_ok() {}
    });
    for _ in 0..2 {
        let refused = endless.compile("tv", &bundle()).await.unwrap_err();
        assert_eq!(refused.code(), "compiler.too_large", "{refused}");
    }
}

#[tokio::test]
async fn a_child_that_says_nothing_is_given_up_in_time() {
    let silent = compiler(Duration::from_millis(50), |work, mut end| {
        end.write_all(&[fork_server::BEGAN]).unwrap();
        // The fork server sees its child given up by this.
        assert_eq!(end.read(&mut [0]).unwrap(), 0);
        drop(work);
    });
    let refused = silent.compile("tv", &bundle()).await.unwrap_err();
    assert_eq!(refused.code(), "compiler.timeout", "{refused}");
}

#[tokio::test]
async fn how_a_child_ended_is_told() {
    let killed = compiler(Duration::from_secs(60), |work, mut end| {
        drop(work);
        end.write_all(&[fork_server::BEGAN]).unwrap();
        end.write_all(&9_i32.to_be_bytes()).unwrap();
    });
    let refused = killed.compile("tv", &bundle()).await.unwrap_err();
    assert_eq!(
        (refused.code(), died(ExitStatus::from_raw(9))),
        ("compiler.died", "it used up its processor time or was killed".to_owned())
    );
}

#[tokio::test]
async fn a_fork_server_that_forks_nothing_or_hangs_is_given_up() {
    let never_forked = compiler(Duration::from_secs(60), |work, end| drop((work, end)));
    let mut hangs = compiler(Duration::from_secs(60), |work, mut end| {
        assert_eq!(end.read(&mut [0]).unwrap(), 0, "{work:?}");
    });
    hangs.prompt = Duration::from_millis(50);
    for compiler in [never_forked, hangs] {
        // The next one cannot be started: there is no such program.
        let refused = compiler.compile("tv", &bundle()).await.unwrap_err();
        assert_eq!(refused.code(), "compiler.unavailable", "{refused}");
        assert!(format!("{refused:?}").contains("NotFound"), "{refused:?}");
    }
}

#[tokio::test]
async fn who_gives_up_a_fork_server_late_leaves_the_next_one_alone() {
    let (forks, _orders) = Forks::played();
    let (one, two) = (forks.fork().unwrap(), forks.fork().unwrap());
    forks.give_up(&one.of);
    assert_eq!(
        forks.fork().unwrap_err().kind(),
        std::io::ErrorKind::NotFound,
        "none runs, none can be started"
    );
    let _orders = forks.play();
    forks.give_up(&two.of);
    assert!(forks.fork().is_ok());
}
