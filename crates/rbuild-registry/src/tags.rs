//! What a repository has: its tags.
//!
//! OCI distribution-spec, "Listing Tags".

use rbuild_http::{Method, Request, Url, redirect_target};
use serde::Deserialize;

use crate::{Error, Repository, Result};

/// The longest list that is read at once, in bytes.
const LIST_LIMIT: u64 = 8 << 20;
/// More pages than any honest registry needs.
const PAGES_LIMIT: usize = 1000;

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Repository {
    /// All tags, sorted: registries do not agree on an order.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the list is none, or never ends; else as any request.
    pub fn tags(&self) -> Result<Vec<String>> {
        let object = "the list of tags";
        let mut url = self.url("tags/list")?;
        let mut found = Vec::new();
        let mut pages = 0;
        loop {
            let response = self.send(object, &mut || {
                Request::new(Method::Get, url.clone(), self.security())
            })?;
            let response = self.expect(object, response, &[200])?;
            let next = response.header("link").and_then(next_page);
            let next = next.map(|link| self.page(object, &response.url, link));
            let bytes = self.read(response, object, LIST_LIMIT)?;
            let list: Tags = serde_json::from_slice(&bytes)
                .map_err(|error| self.malformed(object, error.to_string()))?;
            found.extend(list.tags.unwrap_or_default());
            match next {
                Some(next) => url = next?,
                None => break,
            }
            pages += 1;
            if pages == PAGES_LIMIT {
                return Err(self.malformed(object, "it has no end".to_owned()));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The URL of the next page, which must be of the same registry.
    fn page(&self, object: &str, here: &Url, link: &str) -> Result<Url> {
        let url = redirect_target(here, link, self.security())
            .map_err(|source| self.send_error(object, source))?;
        match url.same_origin(here) {
            true => Ok(url),
            false => Err(self.malformed(object, "it goes on at another host".to_owned())),
        }
    }

    fn malformed(&self, object: &str, why: String) -> Error {
        Error::Malformed {
            what: self.what(object),
            why,
        }
    }
}

/// The target of `<…>; rel="next"`. RFC 8288.
fn next_page(link: &str) -> Option<&str> {
    let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
    let is_next = |parameter: &str| matches!(parameter.trim(), "rel=\"next\"" | "rel=next");
    parameters.split(';').any(is_next).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::next_page;

    #[test]
    fn the_next_page_is_linked() {
        assert_eq!(
            next_page("</v2/a/tags/list?last=b>; rel=\"next\""),
            Some("/v2/a/tags/list?last=b")
        );
        assert_eq!(next_page("</x>; rel=\"prev\""), None);
        assert_eq!(next_page("/x"), None);
    }
}
