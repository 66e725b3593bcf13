//! Devices that call all the time, of which none may ever be refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tests::device::Device;
use tests::server::Server;
use tokio::task::JoinHandle;

/// Often enough to see a gap, and little enough to leave the processors to the databases.
const PAUSE: Duration = Duration::from_millis(10);

/// One device for each server.
pub struct Traffic {
    ends: Arc<AtomicBool>,
    devices: Vec<JoinHandle<Result<usize, String>>>,
}

impl Traffic {
    /// Begins to call.
    pub fn of(servers: &[Server]) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let devices = servers.iter().map(|server| {
            let (ends, device) = (Arc::clone(&ends), Device::of(&server.device));
            tokio::spawn(async move {
                let mut calls = 0;
                while !ends.load(Ordering::Relaxed) {
                    let reply = device.get("/tv/home").await;
                    if reply.status != 200 || !reply.body.starts_with("deploy ") {
                        return Err(format!("after {calls} calls: {reply:?}"));
                    }
                    calls += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(calls)
            })
        });
        Self { devices: devices.collect(), ends }
    }

    /// Ends the calls; how many there were.
    ///
    /// # Panics
    /// One was not answered as it should.
    pub async fn all_were_answered(self) -> usize {
        self.ends.store(true, Ordering::Relaxed);
        let mut calls = 0;
        for device in self.devices {
            calls += device.await.expect("a device calls").unwrap_or_else(|refused| panic!("{refused}"));
        }
        calls
    }
}
