//! The calls about quotas.

use super::{DRY_RUN, GET, IF_MATCH, JSON, Operation, REASON, answer, tagged};
use crate::page::Page;
use crate::quotas::{QuotaAnswer, QuotaRequest, QuotaState, QuotasSet};
use crate::shape::Shape;

const QUOTAS: &[&str] = &[
    "scope.invalid",
    "quota.invalid",
    "quota.conflict",
    "endpoint.unknown",
    "precondition.missing",
    "precondition.invalid",
    "store.unavailable",
];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/v1/quotas",
        id: "list_quotas",
        tag: "server",
        summary: "All that operators have set of any scope's quotas.",
        answers: &[answer(200, "What is set.", Page::<QuotasSet>::schema)],
        ..GET
    },
    Operation {
        path: "/v1/quotas/{scope}",
        id: "get_quotas",
        tag: "server",
        summary: "What a scope may use, where that comes from, and what is used of it on this node.",
        answers: &[tagged(200, "The quotas.", QuotaState::schema)],
        problems: &["scope.invalid", "endpoint.unknown"],
        ..GET
    },
    Operation {
        method: "put",
        path: "/v1/quotas/{scope}",
        id: "set_quotas",
        tag: "server",
        summary: "Set quotas of `all`, a team, an endpoint or a class. What was used stays used.",
        parameters: &[IF_MATCH, DRY_RUN],
        body: Some((JSON, QuotaRequest::schema)),
        answers: &[tagged(200, "What is set now.", QuotaAnswer::schema)],
        problems: QUOTAS,
        ..GET
    },
    Operation {
        method: "delete",
        path: "/v1/quotas/{scope}",
        id: "reset_quotas",
        tag: "server",
        summary: "Take back all that was set of a scope's quotas.",
        parameters: &[IF_MATCH, DRY_RUN, REASON],
        answers: &[tagged(200, "What is set now: nothing.", QuotaAnswer::schema)],
        problems: QUOTAS,
        ..GET
    },
];
