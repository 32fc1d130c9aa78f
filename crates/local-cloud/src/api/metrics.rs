//! `GET /servers/{id}/metrics`: what a server did over a period, as time series.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::reply::Reply;
use super::scope::Scope;
use super::{servers, view};
use crate::work::samples::Rates;

/// Maximum number of points in a series.
const MAX_POINTS: i64 = 500;

/// Assumed bytes of one disk operation, because operations are not counted.
const OPERATION: f64 = 4096.0;

/// One series: its name and its figure.
type Series = (&'static str, fn(&Rates) -> f64);

const CPU: &[Series] = &[("cpu", |r| r.cpu)];

const DISK: &[Series] = &[
    ("disk.0.iops.read", |r| r.disk_read / OPERATION),
    ("disk.0.iops.write", |r| r.disk_written / OPERATION),
    ("disk.0.bandwidth.read", |r| r.disk_read),
    ("disk.0.bandwidth.write", |r| r.disk_written),
];

const NETWORK: &[Series] = &[
    ("network.0.pps.in", |r| r.packets_received),
    ("network.0.pps.out", |r| r.packets_sent),
    ("network.0.bandwidth.in", |r| r.received),
    ("network.0.bandwidth.out", |r| r.sent),
];

pub(super) fn get(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let id = servers::find(scope)?.id;
    let query = &scope.call.query;
    let time = |name: &str| {
        let text = query.first(name).unwrap_or_default();
        text.parse::<Timestamp>()
            .map_err(|_| ApiError::invalid_field(name, "Not a valid datetime."))
    };
    let (start, end) = (time("start")?, time("end")?);
    let span = end.as_second() - start.as_second();
    if span < 0 {
        return Err(ApiError::invalid_field("end", "Must be after start."));
    }
    let mut wanted: Vec<&Series> = Vec::new();
    for kind in query.all("type").flat_map(|kinds| kinds.split(',')) {
        wanted.extend(match kind {
            "cpu" => CPU,
            "disk" => DISK,
            "network" => NETWORK,
            _ => return Err(ApiError::invalid_field("type", format!("Not a valid value: {kind}"))),
        });
    }
    if wanted.is_empty() {
        return Err(ApiError::invalid_field("type", "Missing data for required field."));
    }
    let step = query
        .first("step")
        .and_then(|s| s.parse::<i64>().ok())
        .unwrap_or(0)
        .max(span / MAX_POINTS + 1);
    let points = points(scope, id, start, span, step);
    let values = |of: fn(&Rates) -> f64| -> Value {
        points
            .iter()
            .map(|(at, rates)| json!([at, format!("{:.3}", of(rates))]))
            .collect::<Vec<_>>()
            .into()
    };
    let series: Map<String, Value> = wanted
        .iter()
        .map(|(name, of)| ((*name).to_owned(), json!({"values": values(*of)})))
        .collect();
    let (start, end) = (view::time(start), view::time(end));
    let metrics = json!({"start": start, "end": end, "step": step, "time_series": series});
    Ok(Reply::ok(json!({"metrics": metrics})))
}

/// Unix seconds, and the server's rates in the step before.
fn points(scope: &Scope<'_>, id: u64, start: Timestamp, span: i64, step: i64) -> Vec<(i64, Rates)> {
    let width = Duration::from_secs(step.unsigned_abs());
    (0..=span / step)
        .filter_map(|n| Timestamp::from_second(start.as_second() + n * step).ok())
        .map(|at| (at.as_second(), scope.rates(id, at, width)))
        .collect()
}
