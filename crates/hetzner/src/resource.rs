//! What all resources have in common: they are listed in pages, found by id and by name, renamed
//! and labelled.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use reqwest::Method;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::exchange::{Request, take};
use crate::image::ImageType;
use crate::server_type::Architecture;

/// Labels of a resource.
pub type Labels = BTreeMap<String, String>;

/// The most that the API puts on a page.
const PER_PAGE: u32 = 50;

/// Something that the API lists under a path of its own.
pub trait Resource: DeserializeOwned + Send {
    /// The key of one, such as `server`.
    const ONE: &'static str;
    /// The key of many, and the path, such as `servers`.
    const MANY: &'static str;
}

/// All resources of one kind; made by [`Client`].
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

/// Which resources to list. A filter that a kind does not have is not to be used with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// This very name.
    pub name: Option<String>,
    /// Labels, such as `managed-by=dockbridge,role in (machine,builder)`.
    pub label_selector: Option<String>,
    /// Any of these states.
    pub status: Vec<String>,
    /// SSH keys: this fingerprint, in the MD5 form.
    pub fingerprint: Option<String>,
    /// Images: this architecture.
    pub architecture: Option<Architecture>,
    /// Images: any of these types.
    pub image_type: Vec<ImageType>,
    /// Images: also those that are to be withdrawn.
    pub include_deprecated: bool,
    /// Order, such as `created:desc`.
    pub sort: Vec<String>,
}

impl Query {
    /// Resources that a label selector picks.
    pub fn labels(selector: impl Into<String>) -> Self {
        Self { label_selector: Some(selector.into()), ..Self::default() }
    }

    /// The resource (for images: the resources) of this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        pairs.extend(self.name.iter().map(|name| ("name", name.clone())));
        pairs.extend(
            self.label_selector.iter().map(|selector| ("label_selector", selector.clone())),
        );
        pairs.extend(self.status.iter().map(|status| ("status", status.clone())));
        pairs.extend(
            self.fingerprint.iter().map(|fingerprint| ("fingerprint", fingerprint.clone())),
        );
        pairs.extend(
            self.architecture.iter().map(|architecture| ("architecture", architecture.to_string())),
        );
        pairs.extend(self.image_type.iter().map(|kind| ("type", kind.to_string())));
        pairs.extend(self.include_deprecated.then(|| ("include_deprecated", "true".to_owned())));
        pairs.extend(self.sort.iter().map(|sort| ("sort", sort.clone())));
        pairs
    }
}

impl<T: Resource> Resources<T> {
    pub(crate) fn new(client: &Client) -> Self {
        Self { client: client.clone(), kind: PhantomData }
    }

    /// All that the query picks, from all pages.
    pub async fn list(&self, query: &Query) -> Result<Vec<T>> {
        self.client.pages(&format!("/{}", T::MANY), T::MANY, query).await
    }

    /// The one with this id; `None` if there is none.
    pub async fn get(&self, id: u64) -> Result<Option<T>> {
        gone_is_none(self.client.read(path::<T>(id), T::ONE).await)
    }

    /// The one with this name; `None` if there is none. Names are unique but for images, see
    /// [`Images::of_architecture`](crate::Images).
    pub async fn by_name(&self, name: &str) -> Result<Option<T>> {
        Ok(self.list(&Query::named(name)).await?.into_iter().next())
    }

    /// The actions of the one with this id, oldest first.
    pub async fn actions(&self, id: u64) -> Result<Vec<Action>> {
        let query = Query { sort: vec!["id:asc".into()], ..Query::default() };
        self.actions_of(id, &query).await
    }

    pub(crate) async fn actions_of(&self, id: u64, query: &Query) -> Result<Vec<Action>> {
        self.client.pages(&format!("{}/actions", path::<T>(id)), "actions", query).await
    }

    /// Begins an action on the one with this id.
    pub(crate) async fn act(&self, id: u64, action: &str, body: &impl Serialize) -> Result<Action> {
        self.client.post(action_path::<T>(id, action), body, "action").await
    }

    /// Begins an action that is carried out on several resources.
    pub(crate) async fn act_on_many(
        &self,
        id: u64,
        action: &str,
        body: &impl Serialize,
    ) -> Result<Vec<Action>> {
        self.client.post(action_path::<T>(id, action), body, "actions").await
    }

    /// Replaces name or labels (the whole set) of the one with this id.
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

    /// Removes the one with this id; that it is gone already is fine.
    pub(crate) async fn erase(&self, id: u64) -> Result<()> {
        let request = Request::new(Method::DELETE, path::<T>(id));
        gone_is_none(self.client.send(&request).await)?;
        Ok(())
    }
}

impl Client {
    /// Everything on all pages of a list.
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
            all.extend(take::<Vec<T>>(request.operation.clone(), reply, key)?);
            match meta.map(|meta| meta.pagination.next_page) {
                Ok(None) => return Ok(all),
                Ok(Some(next)) if next > page => page = next,
                // Half a list taken for the whole would make what is missing look deleted.
                Ok(Some(next)) => {
                    let source = serde_json::Error::custom(format!(
                        "page {page} is followed by page {next}"
                    ));
                    return Err(Error::Decode { operation: request.operation, source });
                }
                Err(source) => return Err(Error::Decode { operation: request.operation, source }),
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
