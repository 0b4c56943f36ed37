//! Parameters in the query of a request.

use percent_encoding::percent_decode_str;

/// The values of all parameters of a name, decoded.
pub fn values<'q>(query: &'q str, name: &'q str) -> impl Iterator<Item = String> + 'q {
    query.split('&').filter_map(move |parameter| {
        let (key, value) = parameter.split_once('=')?;
        let is_name = percent_decode_str(key).decode_utf8().is_ok_and(|key| key == name);
        is_name.then(|| percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_parameters_name() {
        let found: Vec<String> = values("name[]=up&x=1&name%5B%5D=a%2Eb+c", "name[]").collect();
        assert_eq!(found, ["up", "a.b c"]);
        assert_eq!(values("", "x").count(), 0);
    }
}
