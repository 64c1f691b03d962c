// Cuts the text of an event stream into blocks (WHATWG HTML, section 9.2.6).

/**
 * A block: the fields between two empty lines.
 * @typedef {{ event?: string, data?: string, id?: string, retry?: string }} Block
 */

export class Blocks {
  /** The beginning of a line whose end has not come yet. */
  #line = '';
  /** The block whose end has not come yet. */
  open = {};

  /**
   * Takes the next piece of the text.
   * @param {string} text
   * @returns {Block[]} the blocks that are complete now
   */
  cut(text) {
    const lines = text.split('\n');
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop();
    const complete = [];
    for (const line of lines) {
      if (line !== '' && line !== '\r') {
        this.#field(line.endsWith('\r') ? line.slice(0, -1) : line);
      } else if (Object.keys(this.open).length) {
        complete.push(this.open);
        this.open = {};
      }
    }
    return complete;
  }

  #field(line) {
    const [, name, value = ''] = /^([^:]*)(?:: ?([^]*))?$/.exec(line);
    if (name === 'data' && this.open.data !== undefined) this.open.data += `\n${value}`;
    else if (/^(data|event|id|retry)$/.test(name)) this.open[name] = value;
  }
}
