//! What all kinds of resources have in common: lists in pages, reading by id and by name, names and
//! labels, actions, deletion.

use std::fmt;
use std::marker::PhantomData;

use reqwest::Method;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::exchange::{Request, take};
use crate::query::{Labels, Query};

/// The most items that the API puts on a page.
const PER_PAGE: u32 = 50;

/// A kind of resource that the API lists under a path of its own.
pub trait Resource: DeserializeOwned + Send {
    /// The key of one resource, such as `server`.
    const ONE: &'static str;
    /// The key of several, and the path, such as `servers`.
    const MANY: &'static str;
}

/// All resources of one kind; obtained from [`Client`].
#[derive(Clone)]
pub struct Resources<T> {
    pub(crate) client: Client,
    kind: PhantomData<fn() -> T>,
}

impl<T: Resource> fmt::Debug for Resources<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").field("kind", &T::MANY).field("client", &self.client).finish()
    }
}

impl<T: Resource> Resources<T> {
    pub(crate) fn new(client: &Client) -> Self {
        Self { client: client.clone(), kind: PhantomData }
    }

    /// All resources that match the query, from all pages.
    pub async fn list(&self, query: &Query) -> Result<Vec<T>> {
        self.client.pages(&format!("/{}", T::MANY), T::MANY, query).await
    }

    /// The resource with this id; `None` if it does not exist.
    pub async fn get(&self, id: u64) -> Result<Option<T>> {
        gone_is_none(self.client.read(path::<T>(id), T::ONE).await)
    }

    /// The resource with this name; `None` if it does not exist. Names are unique except for
    /// images, see [`Images::of_architecture`](crate::Images).
    pub async fn by_name(&self, name: &str) -> Result<Option<T>> {
        Ok(self.list(&Query::named(name)).await?.into_iter().next())
    }

    /// All actions of the resource with this id, oldest first.
    pub async fn actions(&self, id: u64) -> Result<Vec<Action>> {
        let query = Query { sort: vec!["id:asc".into()], ..Query::default() };
        self.actions_of(id, &query).await
    }

    pub(crate) async fn actions_of(&self, id: u64, query: &Query) -> Result<Vec<Action>> {
        self.client.pages(&format!("{}/actions", path::<T>(id)), "actions", query).await
    }

    /// Starts an action on the resource with this id.
    pub(crate) async fn act(&self, id: u64, action: &str, body: &impl Serialize) -> Result<Action> {
        self.client.post(action_path::<T>(id, action), body, "action").await
    }

    /// Starts an action that runs on several resources.
    pub(crate) async fn act_on_many(
        &self,
        id: u64,
        action: &str,
        body: &impl Serialize,
    ) -> Result<Vec<Action>> {
        self.client.post(action_path::<T>(id, action), body, "actions").await
    }

    /// Replaces the name, or all labels, of the resource with this id.
    pub(crate) async fn change(
        &self,
        id: u64,
        name: Option<&str>,
        labels: Option<&Labels>,
    ) -> Result<T> {
        #[derive(Serialize)]
        struct Change<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            name: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            labels: Option<&'a Labels>,
        }
        let request = Request::new(Method::PUT, path::<T>(id)).body(&Change { name, labels })?;
        self.client.ask(request, T::ONE).await
    }

    /// Deletes the resource with this id. Succeeds if it is already gone.
    pub(crate) async fn erase(&self, id: u64) -> Result<()> {
        let request = Request::new(Method::DELETE, path::<T>(id));
        gone_is_none(self.client.send(&request).await)?;
        Ok(())
    }
}

impl Client {
    /// All items on all pages of a list.
    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        query: &Query,
    ) -> Result<Vec<T>> {
        let mut all = Vec::new();
        let mut page = 1;
        loop {
            let mut pairs = query.pairs();
            pairs.push(("page", page.to_string()));
            pairs.push(("per_page", PER_PAGE.to_string()));
            let request = Request::new(Method::GET, path.to_owned()).query(pairs);
            let reply = self.send(&request).await?;
            let meta = reply.get("meta").map_or(Ok(Meta::default()), Meta::deserialize);
            all.extend(take::<Vec<T>>(request.line.clone(), reply, key)?);
            let line = request.line;
            match meta.map(|meta| meta.pagination.next_page) {
                Ok(None) => return Ok(all),
                Ok(Some(next)) if next > page => page = next,
                // An incomplete list would make the missing resources look deleted.
                Ok(Some(next)) => {
                    let text = format!("page {page} is followed by page {next}");
                    return Err(Error::Decode { line, source: serde_json::Error::custom(text) });
                }
                Err(source) => return Err(Error::Decode { line, source }),
            }
        }
    }
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    pagination: Pagination,
}

#[derive(Default, Deserialize)]
struct Pagination {
    next_page: Option<u32>,
}

pub(crate) fn path<T: Resource>(id: u64) -> String {
    format!("/{}/{id}", T::MANY)
}

fn action_path<T: Resource>(id: u64, action: &str) -> String {
    format!("/{}/{id}/actions/{action}", T::MANY)
}

/// "Not found" as `None`.
pub(crate) fn gone_is_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
