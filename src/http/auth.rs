//! Who may push: basic authentication (RFC 7617) against the configured names and passwords.

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::refusal::HttpRefusal;
use super::state::AppState;
use crate::config::PushUser;

/// Lets a push in that one of the users sends; any, if there are none.
pub fn check(headers: &HeaderMap, users: &[PushUser]) -> Result<(), HttpRefusal> {
    if users.is_empty() {
        return Ok(());
    }
    let sent = credentials(headers).ok_or(HttpRefusal::Unauthorized)?;
    // All users are compared, each in full: the time taken tells nothing.
    let is_one = users.iter().fold(subtle::Choice::from(0), |found, user| found | sent.ct_eq(&of(user)));
    if bool::from(is_one) { Ok(()) } else { Err(HttpRefusal::Unauthorized) }
}

/// The answer to a request of an administrator's that none of the users sends.
pub fn refused(request: &HttpRequest, state: &AppState) -> Option<HttpResponse> {
    let refusal = check(request.headers(), &state.parts.config.push_users).err()?;
    Some(state.refuse(&refusal, request.path()))
}

fn of(PushUser { name, password }: &PushUser) -> Vec<u8> {
    [name.as_bytes(), b":", password.as_bytes()].concat()
}

/// `name:password`, as sent.
fn credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("basic") { STANDARD.decode(encoded.trim()).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn users_are_let_in_by_name_and_password() {
        let user = |name: &str, password: &str| PushUser { name: name.into(), password: password.into() };
        let users = [user("a", "1"), user("b", "2:3")];
        let is_let_in = |value: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(AUTHORIZATION, HeaderValue::from_str(value).expect("a header"));
            }
            check(&headers, &users).is_ok()
        };
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (value, expected) in [
            (basic("a:1"), true),
            (basic("b:2:3"), true),
            (basic("a:1").replace("Basic", "bAsIc"), true),
            (basic("a:2"), false),
            (basic("a"), false),
            ("Basic ?".to_owned(), false),
            (basic("a:1").replace("Basic", "Bearer"), false),
        ] {
            assert_eq!(is_let_in(Some(&value)), expected, "{value}");
        }
        assert!(!is_let_in(None));
        assert!(check(&HeaderMap::new(), &[]).is_ok());
    }
}
