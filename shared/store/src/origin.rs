//! The origin of the request that makes a change: its audit entry names it. It belongs to the task that runs the request, so that no
//! function has to pass it on.

/// The origin of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The interface, if entries name it.
    pub via: Option<&'static str>,
    /// A keyed hash of the client's network.
    pub source: Option<String>,
    /// The id in the header `X-Request-Id` of the response.
    pub request_id: Option<String>,
}

tokio::task_local! {
    static ORIGIN: Origin;
}

impl Origin {
    /// Runs work. Its audit entries get this origin.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        ORIGIN.scope(self, work).await
    }

    /// Returns the origin of the running request. Work of the program itself has none.
    pub fn current() -> Self {
        ORIGIN.try_with(Clone::clone).unwrap_or_default()
    }
}
