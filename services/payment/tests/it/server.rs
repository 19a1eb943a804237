//! A tiny `PaymentIntents` server: answers the same to the same key, as the
//! real one does, and can lose answers.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Answers until it is dropped.
pub(crate) struct PaymentIntents {
    pub(crate) address: SocketAddr,
    books: Arc<Mutex<Books>>,
    _connections: JoinSet<()>,
}

/// What the server knows and was asked.
#[derive(Default)]
pub(crate) struct Books {
    /// Every request: method, path with query, form.
    pub(crate) requests: Vec<(Method, String, BTreeMap<String, String>)>,
    /// The state of each intent, by its id.
    pub(crate) intents: BTreeMap<String, Intent>,
    pub(crate) refunds: u32,
    /// How many calls came with another key than ours.
    pub(crate) strangers: u32,
    answers: HashMap<String, (StatusCode, Value)>,
    trouble: Vec<Trouble>,
}

pub(crate) struct Intent {
    pub(crate) status: &'static str,
    pub(crate) payment_id: String,
    pub(crate) captures: u32,
}

/// What goes wrong with the next call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// It takes effect, and the connection closes without an answer.
    LostAnswer,
    /// It takes effect, and the answer is this status.
    Status(u16),
    /// It takes effect, and the answer is 500, to every repetition too.
    Broken,
    /// It has no effect, and the answer is this status.
    Refused(u16),
    /// It has no effect, and the answer is this status and a `Retry-After` in seconds.
    NotNow(u16, u32),
    /// It takes effect, and the answer has no end.
    EndlessAnswer,
    /// It takes effect, and the answer never comes.
    Silence,
}

impl PaymentIntents {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let books = Arc::new(Mutex::new(Books::default()));
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, Arc::clone(&books)));
        Self { address, books, _connections: connections }
    }

    /// Lets calls go wrong, the next one first.
    pub(crate) fn trouble(&self, trouble: impl IntoIterator<Item = Trouble>) {
        let mut trouble: Vec<_> = trouble.into_iter().collect();
        trouble.reverse();
        self.books.lock().unwrap().trouble = trouble;
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Books) -> T) -> T {
        look(&mut self.books.lock().unwrap())
    }
}

async fn accept(listener: TcpListener, books: Arc<Mutex<Books>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let books = Arc::clone(&books);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&books)));
            // A lost answer ends the connection with an error.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    books: Arc<Mutex<Books>>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let header = |name: &str| {
        parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    if header("authorization") != "Bearer sk_test" {
        books.lock().unwrap().strangers += 1;
        return Ok(respond(StatusCode::UNAUTHORIZED, &json!({"error": {"code": "api_key"}})));
    }
    let path = parts.uri.path_and_query().unwrap().to_string();
    let form = decode(std::str::from_utf8(&body).unwrap());
    let trouble = {
        let mut books = books.lock().unwrap();
        books.requests.push((parts.method.clone(), path.clone(), form.clone()));
        let trouble = books.trouble.pop();
        let (status, wait) = match trouble {
            Some(Trouble::Refused(status)) => (Some(status), None),
            Some(Trouble::NotNow(status, wait)) => (Some(status), Some(wait)),
            _ => (None, None),
        };
        if let Some(status) = status {
            let status = StatusCode::from_u16(status).unwrap();
            let mut response = respond(status, &json!({"error": {"code": "not_now"}}));
            if let Some(wait) = wait {
                response.headers_mut().insert("retry-after", wait.into());
            }
            return Ok(response);
        }
        trouble
    };
    let replayed = books.lock().unwrap().answers.contains_key(&header("idempotency-key"));
    let (status, value) =
        books.lock().unwrap().repeatable(&parts.method, &path, &header("idempotency-key"), &form);
    if let Some(Trouble::Broken) = trouble {
        let broken = (StatusCode::INTERNAL_SERVER_ERROR, json!({"error": {"type": "api_error"}}));
        books.lock().unwrap().answers.insert(header("idempotency-key"), broken.clone());
        return Ok(respond(broken.0, &broken.1));
    }
    match trouble {
        Some(Trouble::LostAnswer) => Err(std::io::Error::other("the answer is lost")),
        Some(Trouble::Status(status)) => {
            Ok(respond(StatusCode::from_u16(status).unwrap(), &json!({"error": {}})))
        }
        Some(Trouble::EndlessAnswer) => Ok(respond(status, &json!("x".repeat(1024 * 1024)))),
        Some(Trouble::Silence) => std::future::pending().await,
        _ => {
            let mut response = respond(status, &value);
            let replayed = replayed.to_string().parse().unwrap();
            response.headers_mut().insert("idempotent-replayed", replayed);
            Ok(response)
        }
    }
}

fn respond(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let body = Full::new(Bytes::from(value.to_string()));
    Response::builder().status(status).body(body).unwrap()
}

impl Books {
    fn repeatable(
        &mut self,
        method: &Method,
        path: &str,
        key: &str,
        form: &BTreeMap<String, String>,
    ) -> (StatusCode, Value) {
        if method == Method::GET {
            return match path.strip_prefix("/v1/payment_intents/pi_") {
                Some(number) => {
                    let id = format!("pi_{number}");
                    let status = self.intents[&id].status;
                    (StatusCode::OK, json!({"id": id, "status": status}))
                }
                None => (StatusCode::OK, self.search(path)),
            };
        }
        assert!(!key.is_empty(), "a call that changes something has a key");
        if let Some(answer) = self.answers.get(key) {
            return answer.clone();
        }
        let answer = self.perform(path, form);
        self.answers.insert(key.to_owned(), answer.clone());
        answer
    }

    fn perform(&mut self, path: &str, form: &BTreeMap<String, String>) -> (StatusCode, Value) {
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        match parts[..] {
            ["payment_intents"] => self.create(form),
            ["payment_intents", id, "capture"] => self.go_on(id, "requires_capture", "succeeded"),
            ["payment_intents", id, "cancel"] => self.go_on(id, "requires_capture", "canceled"),
            ["refunds"] if self.intents[&form["payment_intent"]].status == "succeeded" => {
                self.refunds += 1;
                (StatusCode::OK, json!({"id": "re_1", "status": "succeeded"}))
            }
            _ => (StatusCode::NOT_FOUND, json!({"error": {"code": "resource_missing"}})),
        }
    }

    fn create(&mut self, form: &BTreeMap<String, String>) -> (StatusCode, Value) {
        let id = format!("pi_{}", self.intents.len() + 1);
        let (status, code) = match form["payment_method"].as_str() {
            "pm_declined" => ("requires_payment_method", Some("lost_card")),
            _ => ("requires_capture", None),
        };
        let payment_id = form["metadata[payment_id]"].clone();
        self.intents.insert(id.clone(), Intent { status, payment_id, captures: 0 });
        match code {
            Some(code) => {
                let error =
                    json!({"type": "card_error", "code": "card_declined", "decline_code": code});
                (StatusCode::PAYMENT_REQUIRED, json!({"error": error}))
            }
            None if form["payment_method"] == "pm_unknown" => {
                (StatusCode::BAD_REQUEST, json!({"error": {"code": "resource_missing"}}))
            }
            None => (StatusCode::OK, json!({"id": id, "status": status})),
        }
    }

    fn go_on(&mut self, id: &str, from: &str, to: &'static str) -> (StatusCode, Value) {
        let Some(intent) = self.intents.get_mut(id) else {
            return (StatusCode::NOT_FOUND, json!({"error": {"code": "resource_missing"}}));
        };
        if intent.status != from {
            let found = json!({"id": id, "status": intent.status});
            let error = json!({"code": "payment_intent_unexpected_state", "payment_intent": found});
            return (StatusCode::BAD_REQUEST, json!({"error": error}));
        }
        intent.status = to;
        intent.captures += u32::from(to == "succeeded");
        (StatusCode::OK, json!({"id": id, "status": to}))
    }

    fn search(&self, path: &str) -> Value {
        let query = decode(path.split_once('?').unwrap().1).remove("query").unwrap();
        let found: Vec<Value> = self
            .intents
            .iter()
            .filter(|(_, intent)| {
                query == format!("metadata['payment_id']:'{}'", intent.payment_id)
            })
            .map(|(id, intent)| json!({"id": id, "status": intent.status}))
            .collect();
        json!({"object": "search_result", "data": found})
    }
}

fn decode(form: &str) -> BTreeMap<String, String> {
    form.split('&')
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (unescape(name), unescape(value)))
        .collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}
