//! How a handler says no, and the handlers of `config diff` and `config apply`.

use super::Admin;
use super::api::{Applied, Differences, PeerRow, Problem, VERSION};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::path::PathBuf;

/// Why something was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: String,
    candidates: Vec<PeerRow>,
}

impl Refusal {
    /// There is nothing of that name.
    pub(super) fn not_found(error: String) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            error,
            candidates: Vec::new(),
        }
    }

    /// It is not clear which one is meant.
    pub(super) fn ambiguous(error: String, candidates: Vec<PeerRow>) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            error,
            candidates,
        }
    }

    /// The configuration does not allow it.
    pub(super) fn forbidden(error: String) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            error,
            candidates: Vec::new(),
        }
    }

    /// It cannot be done as things are.
    pub(super) fn impossible(error: String) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            error,
            candidates: Vec::new(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem {
            version: VERSION,
            error: self.error,
            candidates: self.candidates,
        };
        (self.status, Json(problem)).into_response()
    }
}

/// What `config diff` and `config apply` may name.
#[derive(Debug, Deserialize)]
pub(super) struct Apply {
    /// Another file than the one that runs.
    file: Option<PathBuf>,
}

/// `GET /v1/config/diff`: what applying the file that runs again, or another one, would change.
pub(super) async fn diff(
    State(admin): State<Admin>,
    Query(apply): Query<Apply>,
) -> Result<Json<Differences>, Refusal> {
    let found = admin.reloader.differences(&admin.engine, apply.file).await;
    let (differences, peers) = found.map_err(|error| Refusal::impossible(format!("{error:#}")))?;
    Ok(Json(Differences {
        version: VERSION,
        differences,
        peers,
    }))
}

/// `POST /v1/config/apply`: loads the file that runs again, or another one.
pub(super) async fn apply(
    State(admin): State<Admin>,
    Query(apply): Query<Apply>,
) -> Result<Json<Applied>, Refusal> {
    let reloaded = admin.reloader.reload(&admin.engine, apply.file).await;
    let (revision, notes) = reloaded.map_err(|error| Refusal::impossible(format!("{error:#}")))?;
    Ok(Json(Applied {
        version: VERSION,
        revision,
        notes,
    }))
}
