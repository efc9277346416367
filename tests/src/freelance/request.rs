//! What a client says, as far as a server must understand it.

use super::Model;

/// Frames of a message.
pub(super) type Frames = Vec<Vec<u8>>;

/// A message from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A question whether the server lives, with what leads back to who asked.
    Ping(Frames),
    /// A request.
    Request(Request),
    /// What no client says.
    Noise,
}

/// A request, in the parts that a reply is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// What leads back to who asked: the first frame that a ROUTER receives, none that a DEALER does.
    pub(super) route: Frames,
    /// What the server has to return as it came. Models 1 and 2: all up to the empty delimiter,
    /// before which a plain REQ client has nothing. Model 3: the control frame.
    pub(super) envelope: Frames,
    /// The sequence that a server of model 2 has to return.
    pub(super) sequence: Option<Vec<u8>>,
    /// What is asked.
    pub(super) body: Frames,
}

impl Received {
    /// Reads a message, of which the first `routes` frames lead back to who sent it.
    pub(super) fn read(model: Model, routes: usize, mut frames: Frames) -> Self {
        if frames.len() < routes {
            return Self::Noise;
        }
        let mut rest = frames.split_off(routes);
        let route = frames;
        if model == Model::Three && rest == [b"PING"] {
            return Self::Ping(route);
        }
        let ends = match model {
            Model::One | Model::Two => rest.iter().position(Vec::is_empty),
            Model::Three => Some(0),
        };
        let Some(last) = ends.filter(|last| *last < rest.len()) else {
            return Self::Noise;
        };
        let mut body = rest.split_off(last + 1);
        let sequence = (model == Model::Two && !body.is_empty()).then(|| body.remove(0));
        if body.is_empty() {
            return Self::Noise;
        }
        Self::Request(Request {
            route,
            envelope: rest,
            sequence,
            body,
        })
    }
}

impl Request {
    /// The reply of a good server: the body, in model 2 behind `OK`.
    pub(super) fn reply(&self) -> Frames {
        self.answer(self.envelope.clone(), self.sequence.clone())
    }

    /// A reply with the body of this request, and what else the server should have returned.
    pub(super) fn answer(&self, envelope: Frames, sequence: Option<Vec<u8>>) -> Frames {
        let ok = sequence.is_some().then(|| b"OK".to_vec());
        let mut frames = self.route.clone();
        frames.extend(envelope);
        frames.extend(sequence);
        frames.extend(ok);
        frames.extend(self.body.iter().cloned());
        frames
    }

    /// A message to who asked that is no reply.
    pub(super) fn say(&self, frames: Frames) -> Frames {
        let mut all = self.route.clone();
        all.extend(frames);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(model: Model, frames: &[&str]) -> Received {
        let frames = frames.iter().map(|frame| frame.as_bytes().to_vec());
        Received::read(model, 1, frames.collect())
    }

    fn reply(model: Model, frames: &[&str]) -> Vec<String> {
        let Received::Request(request) = read(model, frames) else {
            panic!("{frames:?} is no request");
        };
        let reply = request.reply().into_iter();
        let text = |frame| String::from_utf8(frame).expect("it was text");
        reply.map(text).collect()
    }

    #[test]
    fn the_envelope_comes_back() {
        let one = ["route", "control", "", "a", "b"];
        assert_eq!(reply(Model::One, &one), one);
        let bare = ["route", "", "a"];
        assert_eq!(reply(Model::One, &bare), bare);
        let two = ["route", "control", "", "7", "a"];
        let answer = ["route", "control", "", "7", "OK", "a"];
        assert_eq!(reply(Model::Two, &two), answer);
        let three = ["route", "control", "", "a"];
        assert_eq!(reply(Model::Three, &three), three);
    }

    #[test]
    fn a_ping_is_alone() {
        let ping = Received::Ping(vec![b"route".to_vec()]);
        assert_eq!(read(Model::Three, &["route", "PING"]), ping);
        let spelled = ["route", "PING", "body"];
        assert_eq!(reply(Model::Three, &spelled), spelled);
    }

    #[test]
    fn what_has_no_body_is_noise() {
        for (model, frames) in [
            (Model::One, &["route", "control", ""][..]),
            (Model::One, &["route", "control", "body"]),
            (Model::Two, &["route", "control", "", "7"]),
            (Model::Three, &["route", "control"]),
            (Model::Three, &["route"]),
            (Model::Three, &[]),
        ] {
            assert_eq!(read(model, frames), Received::Noise, "{frames:?}");
        }
    }
}
