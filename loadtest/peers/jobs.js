// The jobs for workerd, deno and bun: the three serve a module that has a fetch handler by default.

const json = { headers: { "content-type": "application/json" } };

function hello(url) {
  const name = new URLSearchParams(url.slice(url.indexOf("?") + 1)).get("name");
  return new Response(`Hello ${name}`, { headers: { "content-type": "text/plain" } });
}

function composition() {
  const rows = [];
  for (let id = 0; id < 20; id++) {
    rows.push({ id, rank: id * 3, seen: id % 2 == 0, title: `Title ${id}` });
  }
  return new Response(JSON.stringify(rows), json);
}

async function read(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address} answered ${answer.status}`);
  return answer.json();
}

async function fanOut(services) {
  const [profile, catalog, resume] = await Promise.all([
    read(`${services}/profile`),
    read(`${services}/catalog`),
    read(`${services}/resume`),
  ]);
  return new Response(JSON.stringify({ hello: profile.name, resume: resume.items, rows: catalog.rows }), json);
}

// workerd gives settings with each call, the others keep them with the process.
const kept = globalThis.process?.env?.SERVICES;

export default {
  port: globalThis.process?.env?.PORT,
  hostname: "127.0.0.1",
  fetch(request, settings) {
    const { url } = request;
    const path = url.slice(url.indexOf("/", 8));
    if (path.startsWith("/bench/hello?")) return hello(url);
    if (path === "/bench/composition") return composition();
    if (path === "/bench/fan-out") return fanOut(kept ?? settings.SERVICES);
    return new Response("not here", { status: 404 });
  },
};
