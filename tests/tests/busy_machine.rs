//! A machine that is busy with something else all the time: what takes what is left over gets on all the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runtime::processor::threads;
use tests::device::Device;
use tests::server::{Options, Server, children, process};

const DEPLOYS: usize = 20;
/// Threads beside it for each core that want all of it.
const BUSY: usize = 3;

/// Ends what it was given to when the test does, however that is.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Looks at the threads of all processes below one, as what watches a machine does.
fn look_below(parent: u32) {
    for child in children(parent) {
        if let Some(pid) = process(child) {
            threads::of(pid).into_iter().for_each(|thread| _ = threads::look(pid, thread));
        }
        look_below(child);
    }
}

#[test]
fn scripts_are_compiled_beside_threads_that_leave_no_core_alone_and_one_that_watches_all() {
    let server = Server::start_with(env!("CARGO_BIN_EXE_callboard-under-test"), Options::default());
    let serving = server.child_pid().expect("it serves");
    let is_over = AtomicBool::new(false);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let goes_on = || !is_over.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let _until = Until(&is_over);
        for _ in 0..cores * BUSY {
            scope.spawn(|| while goes_on() {});
        }
        scope.spawn(|| {
            while goes_on() {
                look_below(serving);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        actix_rt::System::new().block_on(async {
            let device = Device::of(&server.device);
            for number in 0..DEPLOYS {
                let source = format!("pub fn main(request) {{ `deploy {number}` }}");
                server.deploy("tv/home", &source).await.expect("it is deployed");
                assert_eq!(device.get("/tv/home").await.body, format!("deploy {number}"));
            }
        });
    });
}
