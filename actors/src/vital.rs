//! Actors that a node cannot be without.
//!
//! An actor that panics is gone, and the process with it none the wiser: devices are served on, while nobody deploys,
//! flips a switch or looks after the node any more. So the process ends with such an actor, and the warden starts
//! another: no script is blamed, since none ran on its thread.

/// A part of such an actor.
#[derive(Debug)]
pub(crate) struct Vital(pub(crate) &'static str);

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(actor = self.0, "a vital actor panicked: the process ends");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::time::Duration;

    use actix::{Actor, Context, Handler, Message};

    use super::*;

    struct Fragile {
        _vital: Vital,
    }

    impl Actor for Fragile {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Panic;

    impl Handler<Panic> for Fragile {
        type Result = ();

        fn handle(&mut self, _: Panic, _: &mut Self::Context) {
            panic!("on purpose");
        }
    }

    /// The test runs itself in a process of its own, which has to die of it.
    #[test]
    fn the_process_ends_with_a_vital_actor_that_panics() {
        const ALONE: &str = "CALLBOARD_TEST_VITAL";
        if std::env::var_os(ALONE).is_some() {
            actix_rt::System::new().block_on(async {
                Fragile { _vital: Vital("test") }.start().try_send(Panic).unwrap();
                actix_rt::time::sleep(Duration::from_secs(20)).await;
            });
            return;
        }
        let name = "vital::tests::the_process_ends_with_a_vital_actor_that_panics";
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let done = alone.args(["--exact", name]).env(ALONE, "1").output().unwrap();
        assert_eq!(done.status.signal(), Some(6), "{}", String::from_utf8_lossy(&done.stdout));
    }
}
