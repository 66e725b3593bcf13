using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "jobs", worker = .jobs),
    (name = "net", network = (allow = ["private", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:{{port}}", http = (), service = "jobs")],
);

const jobs :Workerd.Worker = (
  modules = [(name = "jobs.js", esModule = embed "jobs.js")],
  compatibilityDate = "2026-11-01",
  bindings = [(name = "SERVICES", text = "{{services}}")],
  globalOutbound = "net",
);
