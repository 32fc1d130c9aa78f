//! Changes short responses of the engine, which are read as a whole for that.

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

use crate::error::Error;
use crate::wire::limits::MAX_HEAD;
use crate::wire::response_body::ResponseBody;

/// Reads a body that is short, and passes it on.
pub(crate) async fn read(
    response: Response<ResponseBody>,
) -> Result<(Response<ResponseBody>, Bytes), Error> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MAX_HEAD).collect().await.map_err(Error::Unreadable)?.to_bytes();
    Ok((Response::from_parts(parts, ResponseBody::whole(body.clone())), body))
}

/// Replaces a body that is short.
pub(crate) async fn rewrite(
    response: Response<ResponseBody>,
    change: impl FnOnce(Bytes) -> Bytes,
) -> Result<Response<ResponseBody>, Error> {
    let (mut response, body) = read(response).await?;
    let body = change(body);
    response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    *response.body_mut() = ResponseBody::whole(body);
    Ok(response)
}

/// The body of a response to `containers/create`, with one more among its warnings.
pub(crate) fn with_warning(body: Bytes, warning: &str) -> Bytes {
    let Ok(Value::Object(mut created)) = serde_json::from_slice(&body) else { return body };
    let warnings = created.entry("Warnings").or_insert(Value::Null);
    match warnings {
        Value::Array(warnings) => warnings.push(warning.into()),
        _ => *warnings = vec![Value::from(warning)].into(),
    }
    serde_json::to_vec(&created).map_or(body, Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warning_stands_among_the_engines_warnings() {
        let warned = |text: &str| -> Value {
            let body = with_warning(Bytes::copy_from_slice(text.as_bytes()), "it fills up");
            serde_json::from_slice(&body).unwrap()
        };
        assert_eq!(
            warned("{\"Id\":\"4f\",\"Warnings\":[\"a\"]}\n"),
            serde_json::json!({"Id": "4f", "Warnings": ["a", "it fills up"]})
        );
        let alone = serde_json::json!(["it fills up"]);
        assert_eq!(warned("{\"Id\":\"4f\",\"Warnings\":null}")["Warnings"], alone);
        assert_eq!(warned("{\"Id\":\"4f\"}")["Warnings"], alone);
    }
}
