//! An agent's browser: reads the stream of pops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

/// One event of the stream, as it came.
#[derive(Debug, Clone)]
pub struct Event {
    pub kind: String,
    pub id: String,
    pub data: Value,
    /// When it was read; that may be after the end of the daemon that sent it.
    pub at: Instant,
}

/// Follows one agent's stream in the background and comes back when it is cut.
pub struct Screen {
    events: Arc<Mutex<Vec<Event>>>,
    open: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Screen {
    pub fn open(base: &str, extension: &str, token: &str) -> Self {
        let url = format!("{base}/api/v1/agents/{extension}/pops");
        let (events, token) = (Arc::new(Mutex::new(Vec::new())), token.to_owned());
        let mut tasks = JoinSet::new();
        let open = Arc::new(AtomicBool::new(false));
        let (seen, opened) = (Arc::clone(&events), Arc::clone(&open));
        let client = super::world::http();
        tasks.spawn(async move {
            loop {
                follow(&client, &url, &token, &seen, &opened).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self { events, open, _tasks: tasks }
    }

    /// Waits until the stream has been open once: what happens from then on is seen.
    pub async fn opened(self) -> Self {
        super::world::wait("the stream", || self.open.load(Ordering::Relaxed)).await;
        self
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// Events of this kind about this call.
    pub fn of(&self, kind: &str, call: &str) -> Vec<Event> {
        self.events().into_iter().filter(|event| event.kind == kind && event.data["call"] == call).collect()
    }
}

async fn follow(client: &reqwest::Client, url: &str, token: &str, seen: &Mutex<Vec<Event>>, open: &AtomicBool) {
    let last = seen.lock().unwrap().last().map(|event: &Event| event.id.clone());
    let mut request = client.get(url).bearer_auth(token);
    if let Some(id) = last {
        request = request.header("Last-Event-ID", id);
    }
    let Ok(mut answer) = request.send().await else { return };
    open.store(true, Ordering::Relaxed);
    let mut buffer = String::new();
    while let Ok(Some(bytes)) = answer.chunk().await {
        buffer += &String::from_utf8_lossy(&bytes);
        while let Some(end) = buffer.find("\n\n") {
            let block: String = buffer.drain(..end + 2).collect();
            if let Some(event) = read(&block) {
                seen.lock().unwrap().push(event);
            }
        }
    }
}

fn read(block: &str) -> Option<Event> {
    let field = |name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|text| text.trim().to_owned())
    };
    let data = serde_json::from_str(&field("data")?).ok()?;
    Some(Event { kind: field("event")?, id: field("id").unwrap_or_default(), data, at: Instant::now() })
}
