//! What is news, for one browser that watches the page: server-sent events.
//!
//! `monitor` says how the monitor is and which formations there are; `formation` is one of them, sent when it has changed;
//! `beat` comes when nothing else does, so that a browser notices that nothing comes any more. A browser that does not
//! read gets the newest when it does, and nothing is kept for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::bulletin::Bulletin;
use crate::http::lives::Life;

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(4);
/// What a browser has not taken by then it never will.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pieces that may be on their way.
const PIECES: usize = 2;

/// Begins to send.
pub(super) fn begin(site: Arc<Bulletin>, life: Arc<Life>) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        site.viewers.fetch_add(1, Ordering::Relaxed);
        send(&site, &life, &sender).await;
        site.viewers.fetch_sub(1, Ordering::Relaxed);
    });
    receiver
}

/// Goes on until the browser has gone.
async fn send(site: &Bulletin, life: &Life, sender: &mpsc::Sender<Bytes>) {
    let mut news = site.news.subscribe();
    let mut sent = Sent::default();
    loop {
        news.mark_unchanged();
        let piece = sent.catch_up(site).unwrap_or_else(|| "event: beat\ndata: {}\n\n".to_owned());
        if !matches!(timeout(PATIENCE, sender.send(piece.into())).await, Ok(Ok(()))) {
            return;
        }
        life.extend(PATIENCE + BEAT);
        // Whatever changes is sent as soon as it does; the site itself does not change more often than it is read.
        let next = async {
            loop {
                if news.changed().await.is_err() || sent.is_behind(site) {
                    return;
                }
            }
        };
        tokio::select! {
            _ = timeout(BEAT, next) => {}
            () = sender.closed() => return,
        }
    }
}

/// What a browser has.
#[derive(Default)]
struct Sent {
    monitor: Option<Value>,
    formations: BTreeMap<String, Bytes>,
}

impl Sent {
    /// The events that bring it up to date; `None` when it is.
    fn catch_up(&mut self, site: &Bulletin) -> Option<String> {
        let mut text = String::new();
        let about = site.about();
        if self.monitor.as_ref().map(lasting) != Some(lasting(&about)) {
            text.push_str(&format!("event: monitor\ndata: {about}\n\n"));
            self.monitor = Some(about);
        }
        let formations = site.formations();
        for (name, json) in formations.iter() {
            if self.formations.get(name) != Some(json) {
                text.push_str("event: formation\ndata: ");
                text.push_str(&String::from_utf8_lossy(json));
                text.push_str("\n\n");
            }
        }
        self.formations = BTreeMap::clone(&formations);
        (!text.is_empty()).then_some(text)
    }

    fn is_behind(&self, site: &Bulletin) -> bool {
        self.monitor.as_ref().map(lasting) != Some(lasting(&site.about()))
            || self.formations != *site.formations()
    }
}

/// Without its age, which is another every time.
fn lasting(about: &Value) -> Value {
    let mut about = about.clone();
    about["age_ms"] = Value::Null;
    about
}
