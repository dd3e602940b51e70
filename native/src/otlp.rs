//! A window as OTLP profiles: what collector/profiles.ts writes of the same window, byte for byte (test/native/encoding.test.ts).
//! There stands what the messages mean. Here it takes a fiftieth of the time, because no name becomes a string of JavaScript.
pub mod categories;
pub mod dictionary;
pub mod request;
pub mod wire;

use crate::symbols::window::Window;
use request::Request;

/// Who sends.
pub struct Sender {
    /// Short host name.
    pub node: String,
    pub cluster: Option<String>,
}

/// Whose work a process is, and how that is known: Charge of collector/profiles.ts.
pub struct Charge {
    pub job: String,
    pub step: String,
    pub rank: Option<u32>,
    pub evidence: String,
}

/// One body after the other, each at most about `most_bytes`. `charge_of` tells whose each process is, None leaves it out;
/// `category_of` what each stack is doing.
pub fn encode<'a>(
    window: &Window,
    sender: &Sender,
    charge_of: impl Fn(usize) -> Option<&'a Charge>,
    category_of: &[&str],
    most_bytes: usize,
) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut request = Request::new(window);
    for (process, samples) in samples_by_process(window).iter().enumerate().filter(|(_, samples)| !samples.is_empty()) {
        let Some(charge) = charge_of(process) else { continue };
        let resource = request::resource(sender, &window.processes[process], charge);
        request.open_process(&resource);
        for &sample in samples {
            if request.bytes() > most_bytes {
                bodies.push(request.encode());
                request = Request::new(window);
                request.open_process(&resource);
            }
            request.add(sample, category_of[window.sample_stack[sample] as usize]);
        }
    }
    if !request.is_empty() {
        bodies.push(request.encode());
    }
    bodies
}

fn samples_by_process(window: &Window) -> Vec<Vec<usize>> {
    let mut groups = vec![Vec::new(); window.processes.len()];
    for (sample, &process) in window.sample_process.iter().enumerate() {
        groups[process as usize].push(sample);
    }
    groups
}
