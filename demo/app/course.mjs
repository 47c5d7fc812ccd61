// What the page is about now, and the engine's work that is under way in it.

// starting   Python is not up yet; a model is loaded as soon as it is
// loading    a model is being loaded
// ready      a model waits for a question
// answering  it answers one
// empty      there is no model
// lost       the model's GPU device is lost
// failed     the page cannot work in this browser
export class Course {
  state = "starting";
  job = null; // the engine's promise of its end
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Whether a model is on its way. */
  get isComing() {
    return this.state === "starting" || this.state === "loading";
  }

  /** Change the state. `job`: what is under way in it; the ends of earlier jobs are then ignored. */
  enter(state, job = null) {
    Object.assign(this, { state, job });
    this.#onChange();
  }
}
