mod answers;
mod deadlines;
mod service;
mod slots;
