// Questions on their way back from the conversation to the composer: to be edited, taken back before a
// model answers, or given back because nothing came of them.

export class Drafts {
  #composer;
  #current;
  #onChange;

  /** `current`: gives the conversation in view. `onChange`: called when what can be done changed. */
  constructor(composer, { current, onChange }) {
    this.#composer = composer;
    this.#current = current;
    this.#onChange = onChange;
  }

  /** Edit a question; what was asked and answered stays until it is sent. */
  edit(exchange, message = exchange.message) {
    this.#current().edited = exchange;
    this.#composer.edit(message);
    this.#onChange();
  }

  cancelEdit() {
    this.#current().edited = null;
    this.#composer.clear();
    this.#composer.focus();
    this.#onChange();
  }

  /**
   * Nothing came of an exchange: what it replaced comes back, and its question goes back to the
   * composer. While something else is written there the question stays in the conversation.
   */
  giveBack(exchange) {
    const { message, replaced } = exchange;
    if (exchange.isRepeat) {
      this.#withdraw(exchange);
    } else if (!this.#composer.isEmpty) {
      this.#current().putBack(exchange);
      if (exchange.isWaiting) exchange.fail("not asked: the model was not loaded");
    } else {
      this.#withdraw(exchange);
      if (replaced) this.edit(replaced, message);
      else this.#composer.message = message;
    }
  }

  /** Write on a question that waits for a model; what is written already comes after it. */
  takeBack(exchange) {
    const { message, replaced } = exchange;
    const drafted = this.#composer.message;
    this.#withdraw(exchange);
    if (replaced) this.edit(replaced, message);
    else this.#composer.message = {
      text: [message.text, drafted.text].filter(Boolean).join("\n"),
      images: [...message.images, ...drafted.images],
    };
    this.#composer.focus();
  }

  #withdraw(exchange) {
    this.#current().putBack(exchange);
    this.#current().remove(exchange);
    this.#onChange();
  }
}
