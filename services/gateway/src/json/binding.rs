//! Which RPC an HTTP method and path mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use axum::body::Body;
use axum::response::IntoResponse as _;
use http::{Method, Response, StatusCode, header};
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};

/// Every annotated RPC.
pub(super) struct Bindings(Vec<Binding>);

/// An RPC that a request has been matched to.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) method: MethodDescriptor,
    /// The template of the path, such as `/v1/orders/{order_id}`.
    pub(super) route: Arc<str>,
    pub(super) body: BodyRule,
    /// Fields that the path gives, with their decoded values.
    pub(super) path: BTreeMap<String, String>,
}

/// What the HTTP body fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BodyRule {
    Nothing,
    Everything,
    Field(String),
}

/// A path that means nothing, or not with that method.
pub(super) enum Refusal {
    NotFound,
    MethodNotAllowed { allow: String },
}

struct Binding {
    http: Method,
    route: Arc<str>,
    template: Template,
    body: BodyRule,
    method: MethodDescriptor,
}

/// A path such as `/v1/orders/{order_id}:cancel`.
struct Template {
    segments: Vec<Segment>,
    verb: Option<String>,
}

enum Segment {
    Literal(String),
    Field(String),
}

impl Bindings {
    /// Reads the annotations. Fails on a form of template that is not served,
    /// so that a new RPC cannot be unreachable unnoticed.
    pub(super) fn read(pool: &DescriptorPool) -> anyhow::Result<Self> {
        let extension = pool
            .get_extension_by_name("google.api.http")
            .context("the protos do not declare google.api.http")?;
        let mut bindings = Vec::new();
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let options = method.options();
            if !options.has_extension(&extension) {
                continue;
            }
            let annotation = options.get_extension(&extension);
            let rule = annotation.as_message().context("google.api.http is not a message")?;
            read_rule(rule, &method, &mut bindings)
                .with_context(|| format!("the annotation of {}", method.full_name()))?;
        }
        // The more exact comes first: a verb before a value that contains it, and
        // a literal segment before a field in its place.
        bindings
            .sort_by_key(|Binding { template, .. }| (template.verb.is_none(), template.fields()));
        Ok(Self(bindings))
    }

    pub(super) fn find(&self, http: &Method, path: &str) -> Result<Bound, Refusal> {
        // A HEAD is a GET whose body the server drops.
        let http = if http == Method::HEAD { &Method::GET } else { http };
        let mut allow = Vec::new();
        for binding in &self.0 {
            let Some(values) = binding.template.capture(path) else { continue };
            if binding.http == http {
                let (method, body) = (binding.method.clone(), binding.body.clone());
                let route = Arc::clone(&binding.route);
                return Ok(Bound { method, route, body, path: values });
            }
            allow.push(binding.http.as_str());
        }
        if allow.is_empty() {
            Err(Refusal::NotFound)
        } else {
            Err(Refusal::MethodNotAllowed { allow: allow.join(", ") })
        }
    }
}

fn read_rule(
    rule: &DynamicMessage,
    method: &MethodDescriptor,
    bindings: &mut Vec<Binding>,
) -> anyhow::Result<()> {
    let text = |message: &DynamicMessage, field: &str| {
        message
            .get_field_by_name(field)
            .and_then(|value| value.as_str().map(str::to_owned))
            .filter(|text| !text.is_empty())
    };
    let (http, path) = ["get", "put", "post", "delete", "patch"]
        .into_iter()
        .find_map(|verb| Some((verb, text(rule, verb)?)))
        .context("it has no path")?;
    ensure!(!method.is_client_streaming(), "a stream of requests has no JSON form");
    let template = Template::parse(&path)?;
    for name in template.names() {
        ensure!(method.input().get_field_by_name(name).is_some(), "there is no field `{name}`");
    }
    let body = match text(rule, "body").as_deref() {
        None => BodyRule::Nothing,
        Some("*") => BodyRule::Everything,
        Some(field) => {
            ensure!(method.input().get_field_by_name(field).is_some(), "no field `{field}`");
            BodyRule::Field(field.to_owned())
        }
    };
    let http = http.to_uppercase().parse()?;
    let route = path.as_str().into();
    bindings.push(Binding { http, route, template, body, method: method.clone() });

    let further = rule.get_field_by_name("additional_bindings");
    for rule in further.iter().filter_map(|value| value.as_list()).flatten() {
        let rule = rule.as_message().context("a binding is not a message")?;
        read_rule(rule, method, bindings)?;
    }
    Ok(())
}

impl Template {
    fn parse(path: &str) -> anyhow::Result<Self> {
        let rest = path.strip_prefix('/').context("a path begins with /")?;
        let (rest, verb) = match rest.rsplit_once(':') {
            Some((rest, verb)) => (rest, Some(verb.to_owned())),
            None => (rest, None),
        };
        let segments = rest.split('/').map(Segment::parse).collect::<anyhow::Result<_>>()?;
        Ok(Self { segments, verb })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Field(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    fn fields(&self) -> usize {
        self.names().count()
    }

    fn capture(&self, path: &str) -> Option<BTreeMap<String, String>> {
        let mut rest = path.strip_prefix('/')?;
        if let Some(verb) = &self.verb {
            rest = rest.strip_suffix(verb)?.strip_suffix(':')?;
        }
        let mut values = BTreeMap::new();
        let mut parts = rest.split('/');
        for segment in &self.segments {
            let part = parts.next()?;
            match segment {
                Segment::Literal(literal) if literal == part => {}
                Segment::Field(name) if !part.is_empty() => {
                    let value = percent_encoding::percent_decode_str(part).decode_utf8().ok()?;
                    values.insert(name.clone(), value.into_owned());
                }
                _ => return None,
            }
        }
        parts.next().is_none().then_some(values)
    }
}

impl Segment {
    fn parse(part: &str) -> anyhow::Result<Self> {
        match part.strip_prefix('{') {
            None => Ok(Self::Literal(part.to_owned())),
            Some(field) => {
                let field = field.strip_suffix('}').context("a field ends with }")?;
                ensure!(!field.contains(['=', '*', '.']), "patterns inside a field are not served");
                Ok(Self::Field(field.to_owned()))
            }
        }
    }
}

impl Refusal {
    pub(super) fn into_response(self) -> Response<Body> {
        let body = |message: &str, status: &str, code: StatusCode| {
            let error = serde_json::json!({
                "error": {"code": code.as_u16(), "message": message, "status": status}
            });
            (code, axum::Json(error))
        };
        match self {
            Self::NotFound => {
                body("no such path", "NOT_FOUND", StatusCode::NOT_FOUND).into_response()
            }
            Self::MethodNotAllowed { allow } => (
                [(header::ALLOW, allow.clone())],
                body(
                    &format!("this path takes {allow}"),
                    "UNIMPLEMENTED",
                    StatusCode::METHOD_NOT_ALLOWED,
                ),
            )
                .into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings() -> Bindings {
        Bindings::read(&DescriptorPool::decode(trellis_api::FILE_DESCRIPTOR_SET).unwrap()).unwrap()
    }

    fn found(http: &str, path: &str) -> Option<(String, BTreeMap<String, String>)> {
        let bound = bindings().find(&http.parse().unwrap(), path).ok()?;
        Some((bound.method.name().to_owned(), bound.path))
    }

    #[test]
    fn every_unary_and_streaming_rpc_of_the_public_api_has_a_path() {
        let bound: Vec<String> =
            bindings().0.iter().map(|binding| binding.method.full_name().to_owned()).collect();
        let pool = DescriptorPool::decode(trellis_api::FILE_DESCRIPTOR_SET).unwrap();
        for service in ["trellis.shop.v1.ShopService", "trellis.shop.v1.AdminService"] {
            for method in pool.get_service_by_name(service).unwrap().methods() {
                let expected = !method.is_client_streaming();
                assert_eq!(bound.contains(&method.full_name().to_owned()), expected, "{method:?}");
            }
        }
    }

    #[test]
    fn a_path_gives_its_fields_decoded() {
        let (method, fields) = found("GET", "/v1/products/TEA%2D1").unwrap();

        assert_eq!(method, "GetProduct");
        assert_eq!(fields["sku"], "TEA-1");
    }

    #[test]
    fn a_verb_is_told_from_a_value() {
        assert_eq!(found("POST", "/v1/orders/order_1:cancel").unwrap().0, "CancelOrder");
        assert_eq!(found("GET", "/v1/orders/order_1:watch").unwrap().0, "WatchOrder");
        assert_eq!(found("GET", "/v1/orders/order_1").unwrap().0, "GetOrder");
        assert_eq!(found("GET", "/v1/orders").unwrap().0, "ListOrders");
    }

    #[test]
    fn an_unknown_path_is_told_from_a_wrong_method() {
        let bindings = bindings();
        assert!(matches!(bindings.find(&Method::GET, "/v2/users"), Err(Refusal::NotFound)));
        assert!(matches!(bindings.find(&Method::GET, "/v1/orders/"), Err(Refusal::NotFound)));
        assert!(matches!(
            bindings.find(&Method::GET, "/v1/users"),
            Err(Refusal::MethodNotAllowed { allow }) if allow == "POST"
        ));
    }
}
