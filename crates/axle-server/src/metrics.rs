//! What `/_axle/metrics` shows, in Prometheus' text format.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::listen::Api;
use crate::process;

/// From a fast local answer to one that waited for another server.
const REQUEST_BUCKETS: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];
/// From a commit shared with others to a disk in trouble.
const APPEND_BUCKETS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// The server's counts and gauges.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    connections: IntGaugeVec,
    events_appended: IntCounter,
    append_seconds: Histogram,
    process: Process,
}

struct Process {
    cpu_seconds: Gauge,
    resident_bytes: IntGauge,
    open_files: IntGauge,
}

/// An open connection; counted until dropped.
#[derive(Debug)]
pub struct OpenConnection(IntGauge);

impl Metrics {
    /// All of them at zero.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("axle_requests_total", "Requests answered."),
            &["api", "endpoint", "method", "status"],
        )?;
        let request_seconds = HistogramVec::new(
            HistogramOpts::new("axle_request_seconds", "Time to answer a request.").buckets(REQUEST_BUCKETS.into()),
            &["api", "endpoint"],
        )?;
        let connections = IntGaugeVec::new(Opts::new("axle_connections", "Open connections."), &["api"])?;
        let events_appended = IntCounter::new("axle_events_appended_total", "Events appended to room logs.")?;
        let append_seconds = Histogram::with_opts(
            HistogramOpts::new("axle_append_seconds", "Time until an append is durable.")
                .buckets(APPEND_BUCKETS.into()),
        )?;
        let process = Process {
            cpu_seconds: Gauge::new("process_cpu_seconds_total", "CPU time of this process, user and system.")?,
            resident_bytes: IntGauge::new("process_resident_memory_bytes", "Resident memory of this process.")?,
            open_files: IntGauge::new("process_open_fds", "Open file descriptors of this process.")?,
        };
        let build = IntGaugeVec::new(Opts::new("axle_build_info", "Always 1."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let collectors: [Box<dyn Collector>; 9] = [
            Box::new(requests.clone()),
            Box::new(request_seconds.clone()),
            Box::new(connections.clone()),
            Box::new(events_appended.clone()),
            Box::new(append_seconds.clone()),
            Box::new(process.cpu_seconds.clone()),
            Box::new(process.resident_bytes.clone()),
            Box::new(process.open_files.clone()),
            Box::new(build),
        ];
        collectors.into_iter().try_for_each(|collector| registry.register(collector))?;
        Ok(Arc::new(Self {
            registry,
            requests,
            request_seconds,
            connections,
            events_appended,
            append_seconds,
            process,
        }))
    }

    /// A request was answered.
    pub fn request(&self, api: Api, endpoint: &str, method: &str, status: u16, took: Duration) {
        let mut digits = [0; 3];
        self.requests.with_label_values(&[api.as_str(), endpoint, method, three_digits(status, &mut digits)]).inc();
        self.request_seconds.with_label_values(&[api.as_str(), endpoint]).observe(took.as_secs_f64());
    }

    /// A connection was opened.
    pub fn connection_opened(&self, api: Api) -> OpenConnection {
        let gauge = self.connections.with_label_values(&[api.as_str()]);
        gauge.inc();
        OpenConnection(gauge)
    }

    /// Events became durable in one append.
    pub fn appended(&self, events: usize, took: Duration) {
        self.events_appended.inc_by(events as u64);
        self.append_seconds.observe(took.as_secs_f64());
    }

    /// Adds a group of metrics that is computed when it is asked for.
    pub fn register(&self, collector: Box<dyn Collector>) -> Result<(), prometheus::Error> {
        self.registry.register(collector)
    }

    /// The text to answer.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        if let Some(usage) = process::usage() {
            self.process.cpu_seconds.set(usage.cpu.as_secs_f64());
            self.process.resident_bytes.set(i64::try_from(usage.resident_bytes).unwrap_or(i64::MAX));
            self.process.open_files.set(i64::try_from(usage.open_files).unwrap_or(i64::MAX));
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A status as text, without allocating.
fn three_digits(status: u16, digits: &mut [u8; 3]) -> &str {
    let status = status.min(999);
    for (digit, divisor) in digits.iter_mut().zip([100, 10, 1]) {
        // Less than ten, so that it fits.
        *digit = b'0' + (status / divisor % 10) as u8;
    }
    std::str::from_utf8(digits).unwrap_or("000")
}
