//! Idle connections, by where they lead.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    time::Duration,
};

use http::uri::{Authority, Scheme};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::link::Link;

/// Where a connection leads. What is kept idle for one is never given to another.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
}

/// Two spellings of a host are two origins: base URLs have theirs in lower case, so there is nothing to gain from looking at
/// each character, as [`Authority`] does.
impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.authority.as_str() == other.authority.as_str() && self.scheme == other.scheme
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.authority.as_str().hash(state);
    }
}

/// Connections on which nothing is under way.
pub(super) struct Pool {
    idle: Mutex<Idle>,
    for_longest: Duration,
    most_of_origin: usize,
    most: usize,
}

#[derive(Default)]
struct Idle {
    links: HashMap<Origin, Vec<Resting>>,
    count: usize,
    /// Nothing is kept any more.
    closed: bool,
}

struct Resting {
    link: Box<Link>,
    since: Instant,
}

impl Pool {
    pub(super) fn new(for_longest: Duration, most_of_origin: usize, most: usize) -> Self {
        Self { idle: Mutex::default(), for_longest, most_of_origin, most }
    }

    /// The connection used last that still stands: upstreams close the others first.
    pub(super) fn take(&self, origin: &Origin) -> Option<Box<Link>> {
        let mut idle = self.idle.lock();
        let idle = &mut *idle;
        let resting = idle.links.get_mut(origin)?;
        let now = Instant::now();
        while let Some(Resting { mut link, since }) = resting.pop() {
            idle.count -= 1;
            if now.duration_since(since) < self.for_longest && !link.is_worn_out(now) && link.is_alive() {
                return Some(link);
            }
        }
        None
    }

    /// Keeps a connection, where there is room, nothing is under way on it, and it may be used on.
    pub(super) fn put(&self, origin: Origin, mut link: Box<Link>) {
        let now = Instant::now();
        if !link.is_free() || link.is_worn_out(now) {
            return;
        }
        link.rest();
        let mut idle = self.idle.lock();
        let idle = &mut *idle;
        if idle.closed || idle.count >= self.most {
            return;
        }
        let resting = idle.links.entry(origin).or_default();
        if resting.len() < self.most_of_origin {
            resting.push(Resting { link, since: now });
            idle.count += 1;
        }
    }

    /// Lets go of those that were idle for too long, and of those that the upstream has closed.
    pub(super) fn sweep(&self) {
        let mut idle = self.idle.lock();
        let idle = &mut *idle;
        idle.links.retain(|_, resting| {
            resting.retain_mut(|it| it.since.elapsed() < self.for_longest && it.link.is_alive());
            !resting.is_empty()
        });
        idle.count = idle.links.values().map(Vec::len).sum();
    }

    pub(super) fn close(&self) {
        let mut idle = self.idle.lock();
        idle.closed = true;
        idle.links.clear();
        idle.count = 0;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.idle.lock().closed
    }

    pub(super) fn len(&self) -> usize {
        self.idle.lock().count
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tokio::net::{TcpListener, TcpStream};

    use super::{super::connect::Stream, *};

    const AGE: Duration = Duration::from_secs(600);

    #[tokio::test(start_paused = true)]
    async fn a_connection_in_use_is_given_up_at_its_age() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = Origin { scheme: Scheme::HTTP, authority: address.to_string().parse().unwrap() };
        let host = HeaderValue::from_static("upstream");
        let stream = Stream::Plain(TcpStream::connect(address).await.unwrap());
        let pool = Pool::new(AGE / 10, 1, 1);
        let (until, rests) = (Instant::now() + AGE, AGE / 20);
        let mut link = Box::new(Link::over(stream, host, until));
        while Instant::now() + rests < until {
            pool.put(origin.clone(), link);
            tokio::time::advance(rests).await;
            link = pool.take(&origin).expect("it is used on");
        }
        pool.put(origin.clone(), link);
        tokio::time::advance(rests).await;
        assert!(pool.take(&origin).is_none(), "it is too old, though not idle for long");
    }
}
