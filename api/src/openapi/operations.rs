//! The table of the calls of the admin plane.

mod quotas;

use serde_json::{Value, json};

use crate::convergence::Convergence;
use crate::endpoints::Endpoint;
use crate::node::{AuditEntry, Decision, Health, Limits, Node, Version};
use crate::page::Page;
use crate::revisions::{
    ActivateRequest, Activated, Deleted, DeployAnswer, Head, Revision, RevisionDetail, Script,
};
use crate::shape::{Schemas, Shape};
use crate::switches::{DrillAnswer, DrillRequest, Switch, SwitchAnswer, SwitchRequest};
use crate::tokens::{Token, TokenMade, TokenRequest, Whoami};

/// Makes a schema.
type SchemaOf = fn(&mut Schemas) -> Value;

/// One call.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    /// Whether it needs no token.
    pub(super) open: bool,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Option<(&'static str, SchemaOf)>,
    pub(super) answers: &'static [Answer],
    /// The problems that are its own; those of a token are added.
    pub(super) problems: &'static [&'static str],
}

/// An answer that is no problem.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) doc: &'static str,
    pub(super) media: &'static str,
    pub(super) shape: SchemaOf,
    pub(super) etag: bool,
}

/// A parameter outside of the path.
#[derive(Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    /// A type of JSON schema, words with `|` between, or nothing for a text.
    pub(super) kind: &'static str,
    pub(super) default: &'static str,
    pub(super) doc: &'static str,
}

/// Where a parameter stands.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Query,
    Header { required: bool },
}

/// What a parameter of a path is.
pub(super) fn path_parameter(name: &str) -> &'static str {
    match name {
        "team" => "The team's name.",
        "script" => "The script's name within the team.",
        "number" => "The revision's number.",
        "path" => "The file's path within the bundle; its slashes stand as they are.",
        "name" => "The endpoint's name within the script.",
        "scope" => "A scope such as `endpoint:tv/home/home`; its colon and slashes stand as they are.",
        _ => "The id.",
    }
}

const JSON: &str = "application/json";

fn text(_: &mut Schemas) -> Value {
    json!({ "type": "string" })
}

fn archive(_: &mut Schemas) -> Value {
    json!({ "type": "string", "format": "binary", "description": "A tar archive, plain or compressed with gzip or zstd." })
}

fn object(_: &mut Schemas) -> Value {
    json!({ "type": "object" })
}

const fn answer(status: u16, doc: &'static str, shape: SchemaOf) -> Answer {
    Answer { status, doc, media: JSON, shape, etag: false }
}

const fn tagged(status: u16, doc: &'static str, shape: SchemaOf) -> Answer {
    Answer { status, doc, media: JSON, shape, etag: true }
}

const fn query(
    name: &'static str,
    kind: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Parameter {
    Parameter { name, place: Place::Query, kind, default, doc }
}

const LIMIT: Parameter = query("limit", "integer", "100", "The most items of the page, up to 1000.");
const CURSOR: Parameter = query("cursor", "", "", "The `cursor` of the page before.");
const DRY_RUN: Parameter = query("dry_run", "boolean", "false", "Only answer what it would do.");
const WAIT: Parameter = query(
    "wait",
    "none|node|all",
    "node",
    "How far the change has to be before the answer: nowhere, this node, all nodes.",
);
const TIMEOUT: Parameter = query("timeout", "", "10s", "How long to wait; 202 when that is not enough.");
const REASON: Parameter = query("reason", "", "", "Why, for the audit.");
const KIND: Parameter =
    query("kind", "kill|freeze|shed|fallback|last-good|cap", "kill", "Which of the scope's switches.");
const IF_MATCH: Parameter = Parameter {
    name: "If-Match",
    place: Place::Header { required: true },
    kind: "",
    default: "",
    doc: "The `etag` of the state that the change is based on; `*` for any.",
};
const KEY: Parameter = Parameter {
    name: "Idempotency-Key",
    place: Place::Header { required: false },
    kind: "",
    default: "",
    doc: "Makes the same request again the same deploy, for 24 hours; a quoted text. A repeat is answered \
          with `Idempotent-Replayed: true`.",
};

const PAGED: &[&str] = &["cursor.invalid", "cursor.expired"];
const STALE: &[&str] = &[
    "script.unknown",
    "revision.unknown",
    "deploy.conflict",
    "precondition.missing",
    "precondition.invalid",
    "deploy.frozen",
    "store.unavailable",
];

const GET: Operation = Operation {
    method: "get",
    path: "",
    id: "",
    tag: "",
    summary: "",
    open: false,
    parameters: &[],
    body: None,
    answers: &[],
    problems: &[],
};

/// Every call, by what it is about.
pub(super) fn all() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter().chain(quotas::OPERATIONS)
}

const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/livez",
        id: "livez",
        tag: "health",
        summary: "Whether the process is alive. Never asks the store. `/healthz` is its old name.",
        open: true,
        answers: &[Answer { status: 200, doc: "It is.", media: "text/plain", shape: text, etag: false }],
        ..GET
    },
    Operation {
        path: "/readyz",
        id: "readyz",
        tag: "health",
        summary: "Whether the node is ready to serve.",
        open: true,
        parameters: &[query("verbose", "boolean", "false", "List the checks.")],
        answers: &[
            answer(200, "It is.", Health::schema),
            answer(503, "It is not; the checks say why.", Health::schema),
        ],
        ..GET
    },
    Operation {
        path: "/metrics",
        id: "metrics",
        tag: "health",
        summary: "The metrics, as text for Prometheus.",
        answers: &[Answer {
            status: 200,
            doc: "The metrics.",
            media: "text/plain",
            shape: text,
            etag: false,
        }],
        ..GET
    },
    Operation {
        path: "/v1/openapi.json",
        id: "contract",
        tag: "server",
        summary: "This document.",
        open: true,
        answers: &[answer(200, "The document.", object)],
        ..GET
    },
    Operation {
        path: "/v1/scripts",
        id: "list_scripts",
        tag: "scripts",
        summary: "All scripts and where they stand.",
        parameters: &[query("team", "", "", "Only this team's."), LIMIT, CURSOR],
        answers: &[answer(200, "The scripts.", Page::<Script>::schema)],
        problems: PAGED,
        ..GET
    },
    Operation {
        method: "delete",
        path: "/v1/scripts/{team}/{script}",
        id: "delete_script",
        tag: "scripts",
        summary: "Take a script's endpoints away. Its history stays.",
        parameters: &[IF_MATCH, DRY_RUN, REASON],
        answers: &[tagged(200, "What it did.", Deleted::schema)],
        problems: STALE,
        ..GET
    },
    Operation {
        method: "post",
        path: "/v1/scripts/{team}/{script}/revisions",
        id: "upload_revision",
        tag: "scripts",
        summary: "Upload a revision and make it active: the whole bundle or nothing.",
        parameters: &[
            query("activate", "boolean", "true", "Whether it is to answer at once."),
            query("message", "", "", "What to say about it in the history."),
            query("tag", "", "", "A name for it, a version for example."),
            DRY_RUN,
            WAIT,
            TIMEOUT,
            KEY,
        ],
        body: Some(("application/x-tar", archive)),
        answers: &[
            tagged(200, "It was done before under the same key, or only tried.", DeployAnswer::schema),
            tagged(201, "It is stored, and serves as far as was waited for.", DeployAnswer::schema),
            tagged(202, "It is stored; not all that was waited for happened in time.", DeployAnswer::schema),
        ],
        problems: &[
            "script.invalid",
            "quota.exceeded",
            "team.mismatch",
            "route.conflict",
            "deploy.conflict",
            "deploy.frozen",
            "compiler.busy",
            "compiler.died",
            "compiler.timeout",
            "compiler.too_large",
            "compiler.unavailable",
            "idempotency.invalid",
            "idempotency.mismatch",
            "idempotency.running",
            "request.too_large",
            "request.media_type",
            "store.unavailable",
            "store.unknown",
            "store.too_large",
            "service.unknown",
        ],
        ..GET
    },
    Operation {
        path: "/v1/scripts/{team}/{script}/revisions",
        id: "list_revisions",
        tag: "scripts",
        summary: "The history, newest first.",
        parameters: &[LIMIT, CURSOR],
        answers: &[answer(200, "The revisions.", Page::<Revision>::schema)],
        problems: &["script.unknown", "cursor.invalid", "cursor.expired"],
        ..GET
    },
    Operation {
        path: "/v1/scripts/{team}/{script}/revisions/{number}",
        id: "get_revision",
        tag: "scripts",
        summary: "One revision and the list of its files.",
        answers: &[answer(200, "The revision.", RevisionDetail::schema)],
        problems: &["script.unknown", "revision.unknown"],
        ..GET
    },
    Operation {
        path: "/v1/scripts/{team}/{script}/revisions/{number}/files/{path}",
        id: "get_file",
        tag: "scripts",
        summary: "One file of a revision.",
        answers: &[Answer {
            status: 200,
            doc: "The file.",
            media: "application/octet-stream",
            shape: text,
            etag: false,
        }],
        problems: &["script.unknown", "revision.unknown", "file.unknown"],
        ..GET
    },
    Operation {
        path: "/v1/scripts/{team}/{script}/active",
        id: "get_active",
        tag: "scripts",
        summary: "Where the script stands.",
        answers: &[tagged(200, "Where it stands.", Head::schema)],
        problems: &["script.unknown"],
        ..GET
    },
    Operation {
        method: "put",
        path: "/v1/scripts/{team}/{script}/active",
        id: "activate_revision",
        tag: "scripts",
        summary: "Move the active revision: promote or roll back.",
        parameters: &[IF_MATCH, DRY_RUN, WAIT, TIMEOUT],
        body: Some((JSON, ActivateRequest::schema)),
        answers: &[
            tagged(200, "What it did.", Activated::schema),
            tagged(202, "It is stored; not all that was waited for happened in time.", Activated::schema),
        ],
        problems: STALE,
        ..GET
    },
    Operation {
        path: "/v1/endpoints",
        id: "list_endpoints",
        tag: "endpoints",
        summary: "What devices can call.",
        parameters: &[query("team", "", "", "Only this team's."), LIMIT, CURSOR],
        answers: &[answer(200, "The endpoints.", Page::<Endpoint>::schema)],
        problems: PAGED,
        ..GET
    },
    Operation {
        path: "/v1/endpoints/{team}/{script}/{name}",
        id: "get_endpoint",
        tag: "endpoints",
        summary: "One endpoint.",
        answers: &[answer(200, "The endpoint.", Endpoint::schema)],
        problems: &["endpoint.unknown"],
        ..GET
    },
    Operation {
        path: "/v1/endpoints/{team}/{script}/{name}/convergence",
        id: "get_convergence",
        tag: "endpoints",
        summary: "Which nodes serve what the store has of the endpoint's script, and why one does not.",
        answers: &[answer(200, "Every node that is known.", Convergence::schema)],
        problems: &["endpoint.unknown", "store.unavailable"],
        ..GET
    },
    Operation {
        method: "delete",
        path: "/v1/endpoints/{team}/{script}/{name}/quarantine",
        id: "lift_quarantine",
        tag: "endpoints",
        summary: "Let an endpoint answer again that was set aside.",
        parameters: &[REASON, DRY_RUN],
        answers: &[answer(200, "The endpoint.", Endpoint::schema)],
        problems: &["endpoint.unknown"],
        ..GET
    },
    Operation {
        path: "/v1/switches",
        id: "list_switches",
        tag: "switches",
        summary: "All switches that are set.",
        answers: &[answer(200, "The switches.", Page::<Switch>::schema)],
        ..GET
    },
    Operation {
        method: "put",
        path: "/v1/switches/{scope}",
        id: "set_switch",
        tag: "switches",
        summary: "Set a switch. In force on this node when it is answered.",
        parameters: &[DRY_RUN],
        body: Some((JSON, SwitchRequest::schema)),
        answers: &[answer(200, "What it did.", SwitchAnswer::schema)],
        problems: &[
            "scope.invalid",
            "request.invalid",
            "switch.past",
            "switch.misfit",
            "switch.too_many",
            "journal.unwritable",
        ],
        ..GET
    },
    Operation {
        method: "delete",
        path: "/v1/switches/{scope}",
        id: "release_switch",
        tag: "switches",
        summary: "Release a switch. Recorded before it is in force.",
        parameters: &[KIND, REASON, DRY_RUN],
        answers: &[answer(200, "What it did.", SwitchAnswer::schema)],
        problems: &["scope.invalid", "switch.unknown", "switch.changed", "switch.held", "store.unavailable"],
        ..GET
    },
    Operation {
        method: "post",
        path: "/v1/drill",
        id: "drill",
        tag: "switches",
        summary: "Set every kind of switch on a canary in turn, call it, and release the switch.",
        body: Some((JSON, DrillRequest::schema)),
        answers: &[answer(200, "What each switch did.", DrillAnswer::schema)],
        problems: &["endpoint.unknown", "drill.running", "drill.unfit", "store.unavailable"],
        ..GET
    },
    Operation {
        path: "/v1/tokens",
        id: "list_tokens",
        tag: "tokens",
        summary: "All tokens, without their secrets.",
        answers: &[answer(200, "The tokens.", Page::<Token>::schema)],
        ..GET
    },
    Operation {
        method: "post",
        path: "/v1/tokens",
        id: "create_token",
        tag: "tokens",
        summary: "Make a token. Its secret is shown this once.",
        body: Some((JSON, TokenRequest::schema)),
        answers: &[answer(201, "The token and its secret.", TokenMade::schema)],
        problems: &["request.invalid", "store.unavailable"],
        ..GET
    },
    Operation {
        method: "delete",
        path: "/v1/tokens/{id}",
        id: "revoke_token",
        tag: "tokens",
        summary: "Revoke a token for good.",
        answers: &[answer(200, "The token.", Token::schema)],
        problems: &["token.unknown", "store.unavailable"],
        ..GET
    },
    Operation {
        path: "/v1/whoami",
        id: "whoami",
        tag: "server",
        summary: "Who the caller is.",
        answers: &[answer(200, "The caller.", Whoami::schema)],
        ..GET
    },
    Operation {
        path: "/v1/version",
        id: "version",
        tag: "server",
        summary: "What the server is.",
        open: true,
        answers: &[answer(200, "The server.", Version::schema)],
        ..GET
    },
    Operation {
        path: "/v1/limits",
        id: "limits",
        tag: "server",
        summary: "Every default and ceiling in force.",
        answers: &[answer(200, "The limits.", Limits::schema)],
        ..GET
    },
    Operation {
        path: "/v1/audit",
        id: "list_audit",
        tag: "server",
        summary: "Who did what, newest first.",
        parameters: &[
            query("team", "", "", "Only about this team."),
            query("script", "", "", "Only about this script, as `team/script`."),
            LIMIT,
            CURSOR,
        ],
        answers: &[answer(200, "The entries.", Page::<AuditEntry>::schema)],
        problems: PAGED,
        ..GET
    },
    Operation {
        path: "/v1/nodes",
        id: "list_nodes",
        tag: "server",
        summary: "The nodes of the fleet, as far as this one knows.",
        answers: &[answer(200, "The nodes.", Page::<Node>::schema)],
        ..GET
    },
    Operation {
        path: "/v1/decisions/{id}",
        id: "get_decision",
        tag: "server",
        summary: "Why a device's call was refused, by the decision's id, or failed, by the request's.",
        answers: &[answer(200, "The decision.", Decision::schema)],
        problems: &["decision.unknown"],
        ..GET
    },
];
