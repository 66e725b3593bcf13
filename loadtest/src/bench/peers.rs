//! Peers: the servers that others make for scripts, as far as they are installed, with the same jobs.
//!
//! Invariant: each has one thread for scripts, as the measured server has one worker.
//! Not here: what the jobs are (`job`); the peers' side of them is in `loadtest/peers`.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::cpu;
use super::job::Server;
use super::program::Program;

const JOBS_JS: &str = include_str!("../../peers/jobs.js");
const JOBS_LUA: &str = include_str!("../../peers/jobs.lua");
const WORKERD: &str = include_str!("../../peers/workerd.capnp");
const NGINX: &str = include_str!("../../peers/nginx.conf");
/// Where Debian puts the module without which nginx runs no scripts.
const NGINX_LUA: &str = "/usr/lib/nginx/modules/ngx_http_lua_module.so";

/// One that is installed.
#[derive(Debug)]
pub struct Peer {
    /// Which.
    pub server: Server,
    program: PathBuf,
}

impl Peer {
    /// Those that are found among what npm installed below `tools`, or on the path; and the names of the others.
    pub fn installed(tools: &Path) -> (Vec<Self>, Vec<&'static str>) {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for server in Server::PEERS {
            let (name, packed) = match server {
                Server::Nginx => ("nginx", ""),
                Server::Workerd => ("workerd", "@cloudflare/workerd-linux-64/bin/workerd"),
                Server::Deno => ("deno", "@deno/linux-x64-glibc/deno"),
                Server::Bun => ("bun", "bun/bin/bun.exe"),
                Server::Callboard | Server::Actix => continue,
            };
            let packed = tools.join(packed);
            let program = if packed.is_file() { Some(packed) } else { on_path(name) };
            match program {
                Some(program) if server != Server::Nginx || Path::new(NGINX_LUA).is_file() => {
                    found.push(Self { server, program });
                }
                _ => missing.push(name),
            }
        }
        (found, missing)
    }

    /// Starts it. It keeps what it needs in a directory of its own below `directory`, and calls these services.
    ///
    /// # Errors
    /// It did not start.
    pub fn start(&self, directory: &Path, services: &str) -> anyhow::Result<Program> {
        let name = format!("{:?}", self.server).to_lowercase();
        let directory = directory.join(&name);
        fs::create_dir(&directory)?;
        let address = free_address()?;
        let fill = |template: &str| {
            let bare = services.strip_prefix("http://").unwrap_or(services);
            let services = if self.server == Server::Nginx { bare } else { services };
            template
                .replace("{{port}}", &address.port().to_string())
                .replace("{{services}}", services)
                .replace("{{directory}}", &directory.display().to_string())
        };
        let script = directory.join("jobs.js");
        fs::write(&script, JOBS_JS)?;
        let mut command = Command::new(&self.program);
        command.env("SERVICES", services).env("PORT", address.port().to_string());
        match self.server {
            Server::Nginx => {
                fs::write(directory.join("jobs.lua"), JOBS_LUA)?;
                let config = directory.join("nginx.conf");
                fs::write(&config, fill(NGINX))?;
                command.arg("-p").arg(&directory).arg("-c").arg(config);
            }
            Server::Workerd => {
                let config = directory.join("workerd.capnp");
                fs::write(&config, fill(WORKERD))?;
                command.arg("serve").arg(config);
            }
            Server::Deno => {
                command
                    .args(["serve", "--no-check", "--allow-net", "--allow-env"])
                    .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
                    .arg(script)
                    .env("DENO_DIR", directory.join("cache"))
                    .env("DENO_NO_UPDATE_CHECK", "1");
            }
            _ => {
                command.arg("run").arg(script).env("NODE_ENV", "production");
            }
        }
        let log = directory.join("log");
        command.stderr(File::create(&log)?);
        let told = || fs::read_to_string(&log).unwrap_or_default();
        let mut started = Program::listening(&mut command, address)
            .with_context(|| format!("starting {name}: {}", told()))?;
        if self.server == Server::Nginx {
            started.serving =
                cpu::child_of(started.serving).with_context(|| format!("nginx has no worker: {}", told()))?;
        }
        Ok(started)
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Debian keeps servers where only the administrator looks.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// An address that nobody listens on. Somebody else may take it before the peer does, and then the peer says so.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}
