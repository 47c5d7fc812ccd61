// Loads of models: which one was asked for, which one is there, and what is left when a load ends.

import { announce } from "./announcer.mjs";
import { LoadingPanel } from "./loading.mjs";

export class Loads {
  wanted = null; // the model that was asked for last, whether it could be loaded or not
  good = null; // the last model that could be loaded
  sees = false; // whether the loaded one reads images
  #engine;
  #course;
  #panel;
  #on;

  /**
   * `on`: what to do when a load begins, when what is known of the model changes (`info(info, name)`,
   * null for none), when one is `loaded(info)`, when its questions go `back` because it is not, and
   * with the `problem(end)` that says why.
   */
  constructor(engine, course, on) {
    this.#engine = engine;
    this.#course = course;
    this.#panel = new LoadingPanel(() => engine.stop());
    this.#on = on;
  }

  /** `model`: {source, name, contextLength}; `source` is what the engine loads. */
  load(model) {
    this.wanted = model;
    const isThere = this.#course.state !== "lost";
    this.#bring((onProgress) => this.#engine.load(model.source, model.contextLength, onProgress), isThere);
  }

  recover() {
    this.#bring((onProgress) => this.#engine.recover(onProgress));
  }

  /** Python is on its way. */
  update(progress) {
    this.#panel.update(progress);
  }

  /** Python is up. */
  started() {
    this.#panel.show("opening");
    this.#course.enter("loading", this.#course.job);
  }

  /** There is no model in the state `next`; `end`: the message that says why. */
  fail(next, end) {
    this.#show(null, "No model");
    this.#course.enter(next);
    this.#on.back();
    this.#on.problem(end);
  }

  /** `canStay`: whether the model before is of use if nothing comes of this one. */
  async #bring(begin, canStay = false) {
    const course = this.#course;
    if (course.state === "failed") return;
    this.#on.begin();
    this.#tell(null, this.wanted.name);
    const work = begin((progress) => {
      if (work === course.job) this.#panel.update(progress);
    });
    if (course.state === "starting") {
      this.#panel.show("python", { cancellable: false });
      course.enter("starting", work);
    } else {
      this.#panel.show("opening");
      course.enter("loading", work);
    }
    const end = await work;
    if (work !== course.job) return;
    if (end.type === "loaded") this.#loaded(end.info);
    else if (canStay && this.good && end.left) this.#stayed(end);
    else this.fail("empty", end);
  }

  #loaded(info) {
    this.good = this.wanted;
    this.#show(info, this.good.name);
    this.#course.enter("ready");
    this.#on.loaded(info);
  }

  /** A load ended before it took the place of the model before; `end` says why. */
  #stayed(end) {
    this.#show(end.left, this.good.name);
    this.#course.enter("ready");
    this.#on.back();
    if (end.type === "error") this.#on.problem(end);
    else announce(`Loading was cancelled. ${this.good.name} is still there.`);
    this.wanted = this.good;
  }

  #show(info, name) {
    this.#panel.hide();
    this.#tell(info, name);
  }

  #tell(info, name) {
    this.sees = Boolean(info?.vision);
    this.#on.info(info, name);
  }
}
