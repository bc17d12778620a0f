//! The deletion of messages with their media, of calls and of recordings (Twilio, API reference: "Delete a Message resource", "Delete a
//! Media resource", "Delete a Call resource", "Delete a Recording resource"). Twilio answers 204, and 404 for what it does not have.

use butt_dial_domain::ports::carrier::{Deletion, LookupError, VendorResourceKind};
use serde::Deserialize;

use super::{client::Client, wire};

/// A message has ten files at most, and a page has fifty.
const MAX_PAGES: usize = 3;

/// A page of the media of a message.
#[derive(Deserialize)]
struct MediaPage {
    media_list: Vec<Media>,
}

#[derive(Deserialize)]
struct Media {
    sid: String,
}

impl Client {
    /// Deletes a resource. The media of a message go first: without the message, nothing lists them.
    pub(super) async fn delete_resource(&self, kind: VendorResourceKind, id: &str) -> Deletion {
        let (resource, prefixes) = match kind {
            VendorResourceKind::Message => ("Messages", ["SM", "MM"]),
            VendorResourceKind::Call => ("Calls", ["CA", "CA"]),
            VendorResourceKind::Recording => ("Recordings", ["RE", "RE"]),
        };
        // An id that is none of Twilio's would be a path of its API.
        if !prefixes.iter().any(|prefix| wire::is_sid(id, prefix)) {
            return Deletion::Unsupported;
        }
        if kind == VendorResourceKind::Message {
            match self.delete_media(id).await {
                Deletion::Deleted | Deletion::Missing => {}
                other => return other,
            }
        }
        self.delete_path(&format!("/{resource}/{id}.json")).await
    }

    async fn delete_media(&self, message: &str) -> Deletion {
        for _ in 0..MAX_PAGES {
            let url = self.account_url(&format!("/Messages/{message}/Media.json"));
            let page: MediaPage = match self.find_page(&url).await {
                Ok(page) => page,
                Err(LookupError::NotFound) => return Deletion::Missing,
                Err(LookupError::NoResponse) => return Deletion::Failed,
            };
            if page.media_list.is_empty() {
                return Deletion::Deleted;
            }
            for media in page.media_list {
                if !wire::is_sid(&media.sid, "ME") {
                    return Deletion::Failed;
                }
                if self
                    .delete_path(&format!("/Messages/{message}/Media/{}.json", media.sid))
                    .await
                    == Deletion::Failed
                {
                    return Deletion::Failed;
                }
            }
        }
        Deletion::Failed
    }

    async fn delete_path(&self, path: &str) -> Deletion {
        match self.delete_below(path).await {
            Ok(response) if response.status.is_success() => Deletion::Deleted,
            Ok(response) if response.status.as_u16() == 404 => Deletion::Missing,
            // Twilio refuses messages that are on their way (20009).
            Ok(_) | Err(_) => Deletion::Failed,
        }
    }

    async fn find_page<P: serde::de::DeserializeOwned>(&self, url: &str) -> Result<P, LookupError> {
        let response = self.get(url).await.map_err(|_| LookupError::NoResponse)?;
        match response.status.as_u16() {
            404 => Err(LookupError::NotFound),
            _ if response.status.is_success() => {
                serde_json::from_slice(&response.body).map_err(|_| LookupError::NoResponse)
            }
            _ => Err(LookupError::NoResponse),
        }
    }
}
