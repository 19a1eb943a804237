//! Callers of a shop.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tonic::Request;
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::admin_service_client::AdminServiceClient;
use trellis_api::shop::v1::shop_service_client::ShopServiceClient;
use trellis_chassis::transport::{self, Transport};

use super::{ADMIN_TOKEN, Shop};

/// A new idempotency key.
pub(crate) fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A new purchase of one line with a good card.
pub(crate) fn purchase(sku: &str, quantity: i32) -> pb::CheckoutRequest {
    pb::CheckoutRequest {
        request_id: request_id(),
        payment_token: "tok_ok".into(),
        items: vec![pb::CheckoutItem { sku: sku.into(), quantity }],
    }
}

/// A signed-in customer, over gRPC.
#[derive(Clone)]
pub(crate) struct Customer {
    pub(crate) shop: ShopServiceClient<Transport>,
    pub(crate) user: pb::User,
    pub(crate) session_token: String,
}

/// Calls over HTTP/1.1 and JSON.
#[derive(Clone)]
pub(crate) struct Json {
    client: Client<HttpConnector, Full<Bytes>>,
    endpoint: String,
    pub(crate) session_token: Option<String>,
}

/// What a JSON call answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Shop {
    /// A client without a session.
    pub(crate) fn client(&self) -> ShopServiceClient<Transport> {
        ShopServiceClient::new(transport::remote(&self.endpoint()).unwrap())
    }

    /// A client of the back office, and a way to sign its calls.
    pub(crate) fn admin(&self) -> AdminServiceClient<Transport> {
        AdminServiceClient::new(transport::remote(&self.endpoint()).unwrap())
    }

    /// Signs a new customer up.
    pub(crate) async fn customer(&self) -> Customer {
        let mut shop = self.client();
        let request = pb::SignUpRequest {
            email: format!("{}@example.com", request_id()),
            password: "correct horse".into(),
            display_name: "Ada".into(),
        };
        let pb::SignUpResponse { user, session_token } =
            shop.sign_up(request).await.unwrap().into_inner();
        Customer { shop, user: user.unwrap(), session_token }
    }

    /// A caller of the JSON form.
    pub(crate) fn json(&self) -> Json {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Json { client, endpoint: self.endpoint(), session_token: None }
    }
}

/// Shows the admin token.
pub(crate) fn as_admin<T>(message: T) -> Request<T> {
    signed(message, ADMIN_TOKEN)
}

fn signed<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

impl Customer {
    /// Shows the session.
    pub(crate) fn sign<T>(&self, message: T) -> Request<T> {
        signed(message, &self.session_token)
    }

    pub(crate) async fn checkout(
        &self,
        request: pb::CheckoutRequest,
    ) -> Result<pb::Order, tonic::Status> {
        let answer = self.shop.clone().checkout(self.sign(request)).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn order(&self, order_id: &str) -> Result<pb::Order, tonic::Status> {
        let request = pb::GetOrderRequest { order_id: order_id.into() };
        let answer = self.shop.clone().get_order(self.sign(request)).await?;
        Ok(answer.into_inner().order.unwrap())
    }
}

impl Json {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "").await
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request =
            http::Request::builder().method(method).uri(format!("{}{path}", self.endpoint));
        if let Some(token) = &self.session_token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::from(body.to_owned()));
        let response = self.client.request(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}
