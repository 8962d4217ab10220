//! One page of metrics, made when it is asked for.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Labels of a sample.
pub(in crate::http) type Labels = Vec<(&'static str, String)>;
pub(in crate::http) type Histograms = Family<Labels, Histogram, fn() -> Histogram>;
pub(in crate::http) type Counts = Family<Labels, Counter>;

/// Metrics in the order in which they are added.
#[derive(Debug)]
pub(in crate::http) struct Exposition {
    metrics: Vec<Metric>,
}

#[derive(Debug)]
struct Metric {
    name: &'static str,
    help: &'static str,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Gauge(Vec<(Labels, f64)>),
    Counter(Vec<(Labels, f64)>),
    Info(Labels),
    Histograms(Histograms),
    Counts(Counts),
}

impl Exposition {
    pub(in crate::http) const fn new() -> Self {
        Self { metrics: Vec::new() }
    }

    fn push(&mut self, name: &'static str, help: &'static str, values: Values) {
        self.metrics.push(Metric { name, help, values });
    }

    /// One value without labels; no sample when it is not known.
    pub(in crate::http) fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        value: impl Into<Option<f64>>,
    ) {
        let samples = value.into().map(|value| (Labels::new(), value)).into_iter().collect();
        self.push(name, help, Values::Gauge(samples));
    }

    /// Values with labels.
    pub(in crate::http) fn gauges(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: Vec<(Labels, f64)>,
    ) {
        self.push(name, help, Values::Gauge(samples));
    }

    /// A number that only grows.
    pub(in crate::http) fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.push(name, help, Values::Counter(vec![(Labels::new(), float(value))]));
    }

    /// The same with a fraction.
    pub(in crate::http) fn counter_of(&mut self, name: &'static str, help: &'static str, value: Option<f64>) {
        let samples = value.map(|value| (Labels::new(), value)).into_iter().collect();
        self.push(name, help, Values::Counter(samples));
    }

    /// The same with labels.
    pub(in crate::http) fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: Vec<(Labels, f64)>,
    ) {
        self.push(name, help, Values::Counter(samples));
    }

    /// What is text.
    pub(in crate::http) fn info(&mut self, name: &'static str, help: &'static str, labels: Labels) {
        self.push(name, help, Values::Info(labels));
    }

    /// What was measured.
    pub(in crate::http) fn histograms(
        &mut self,
        name: &'static str,
        help: &'static str,
        histograms: &Histograms,
    ) {
        self.push(name, help, Values::Histograms(histograms.clone()));
    }

    /// What was counted.
    pub(in crate::http) fn counts(&mut self, name: &'static str, help: &'static str, counts: &Counts) {
        self.push(name, help, Values::Counts(counts.clone()));
    }

    /// As it is sent.
    pub(in crate::http) fn text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _infallible = text::encode(&mut text, &registry);
        text
    }
}

impl Metric {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match &self.values {
            Values::Gauge(_) => MetricType::Gauge,
            Values::Counter(_) | Values::Counts(_) => MetricType::Counter,
            Values::Info(_) => MetricType::Info,
            Values::Histograms(_) => MetricType::Histogram,
        };
        let mut metric = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        match &self.values {
            Values::Histograms(histograms) => histograms.encode(metric),
            Values::Counts(counts) => counts.encode(metric),
            Values::Info(labels) => metric.encode_info(labels),
            Values::Gauge(samples) => {
                for (labels, value) in samples {
                    if labels.is_empty() {
                        metric.encode_gauge(value)?;
                    } else {
                        metric.encode_family(labels)?.encode_gauge(value)?;
                    }
                }
                Ok(())
            }
            Values::Counter(samples) => {
                for (labels, value) in samples {
                    if labels.is_empty() {
                        metric.encode_counter::<Labels, _, u64>(value, None)?;
                    } else {
                        metric.encode_family(labels)?.encode_counter::<Labels, _, u64>(value, None)?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.metrics.iter().try_for_each(|metric| metric.encode(&mut encoder))
    }
}

/// A count or a position; what is lost of the largest is less than a page of WAL.
#[allow(clippy::cast_precision_loss, reason = "metrics are floating point")]
pub(in crate::http) const fn float(value: u64) -> f64 {
    value as f64
}

/// 1 or 0.
pub(in crate::http) fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}
