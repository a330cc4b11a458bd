// The C# editor of the worker's page: CodeMirror 6 with what the page needs of it, in one file.
//
// `createEditor` has a twin without CodeMirror, dotnet_wasm_host/worker/page_files/plain_editor.js;
// the page cannot tell them apart. It is mounted in a shadow root, where CodeMirror uses
// constructed style sheets: a Content-Security-Policy without 'unsafe-inline' allows those.

import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import {
  HighlightStyle,
  StreamLanguage,
  bracketMatching,
  indentOnInput,
  indentUnit,
  syntaxHighlighting,
} from "@codemirror/language";
import { csharp } from "@codemirror/legacy-modes/mode/clike";
import { lintGutter, nextDiagnostic, previousDiagnostic, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState } from "@codemirror/state";
import {
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  placeholder as placeholderText,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";

// Colours are custom properties of the page, which reach into the shadow root and follow its mode.
const theme = EditorView.theme({
  "&": { height: "100%", color: "var(--ink)", backgroundColor: "var(--field)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", fontSize: "var(--code-size)", lineHeight: "1.6" },
  ".cm-content": { padding: "10px 0", caretColor: "var(--accent)" },
  ".cm-line": { padding: "0 14px 0 8px" },
  ".cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  ".cm-gutters": { color: "var(--faint)", backgroundColor: "var(--field)", border: "none" },
  ".cm-lineNumbers .cm-gutterElement": { padding: "0 6px 0 12px", minWidth: "2.4em" },
  ".cm-gutter-lint": { width: "1.1em" },
  ".cm-gutter-lint .cm-gutterElement": { padding: "0 0 0 3px" },
  ".cm-lint-marker": {
    content: "''", width: "8px", height: "8px", marginTop: "0.45em", borderRadius: "50%",
  },
  ".cm-lint-marker-error": { content: "''", backgroundColor: "var(--bad)" },
  ".cm-lint-marker-warning": { content: "''", backgroundColor: "var(--warn)" },
  ".cm-lintRange-error, .cm-lintRange-warning": {
    backgroundImage: "none", textDecoration: "underline wavy var(--bad)",
    textUnderlineOffset: "3px", textDecorationSkipInk: "none",
  },
  ".cm-lintRange-warning": { textDecorationColor: "var(--warn)" },
  ".cm-tooltip": {
    color: "var(--ink)", backgroundColor: "var(--card)", border: "1px solid var(--line)",
    borderRadius: "8px", boxShadow: "var(--shadow)", maxWidth: "min(560px, 90vw)",
  },
  ".cm-diagnostic": { padding: "6px 10px", fontFamily: "var(--sans)", fontSize: "13px" },
  ".cm-diagnostic-error": { borderLeft: "3px solid var(--bad)" },
  ".cm-diagnostic-warning": { borderLeft: "3px solid var(--warn)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--current)" },
  ".cm-activeLineGutter": { color: "var(--muted)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground":
    { background: "var(--selection)" },
  ".cm-matchingBracket": { backgroundColor: "var(--selection)", outline: "none" },
  ".cm-selectionMatch": { backgroundColor: "var(--current)" },
  ".cm-panels": { color: "var(--ink)", backgroundColor: "var(--card)" },
  ".cm-panels.cm-panels-bottom": { borderTop: "1px solid var(--line)" },
  ".cm-placeholder": { color: "var(--faint)" },
});

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.controlKeyword, tags.modifier], color: "var(--code-keyword)" },
  { tag: [tags.typeName, tags.className, tags.standard(tags.variableName)], color: "var(--code-type)" },
  { tag: [tags.string, tags.character, tags.special(tags.string)], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.atom, tags.null], color: "var(--code-number)" },
  { tag: [tags.comment, tags.lineComment, tags.blockComment], color: "var(--code-comment)", fontStyle: "italic" },
  { tag: [tags.meta, tags.processingInstruction], color: "var(--code-meta)" },
  { tag: tags.definition(tags.variableName), color: "var(--code-name)" },
]);

const kinds = { error: "error", warning: "warning" };

/**
 * An editor in an element.
 *
 * @param {HTMLElement} parent where it is put.
 * @param {{label: string, describedBy: string, changed: () => void, submit: () => void}} options
 *   its accessible name; told of each change of the text; what Ctrl+Enter (or Cmd+Enter) does.
 */
export function createEditor(parent, options) {
  const root = parent.attachShadow({ mode: "open" });
  const readOnly = new Compartment();
  const run = () => {
    options.submit();
    return true;
  };
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      extensions: [
        keymap.of([
          { key: "Mod-Enter", run, preventDefault: true },
          { key: "F8", run: nextDiagnostic },
          { key: "Shift-F8", run: previousDiagnostic },
          ...closeBracketsKeymap,
          ...defaultKeymap,
          ...searchKeymap,
          ...historyKeymap,
          // Tab indents, Escape and then Tab leaves: CodeMirror's own way out for keyboards.
          indentWithTab,
        ]),
        lineNumbers(),
        lintGutter(),
        history(),
        highlightSpecialChars(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        closeBrackets(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        highlightSelectionMatches(),
        placeholderText(options.placeholder ?? ""),
        StreamLanguage.define(csharp),
        syntaxHighlighting(colours),
        indentUnit.of("    "),
        EditorState.tabSize.of(4),
        EditorView.contentAttributes.of({
          "aria-label": options.label,
          tabindex: "0", // what can be written in has it anyway, but not every tool knows
          spellcheck: "false",
          autocapitalize: "off",
          autocorrect: "off",
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) options.changed();
        }),
        readOnly.of([]),
        theme,
      ],
    }),
  });

  return {
    kind: "codemirror",
    getText: () => view.state.doc.toString(),
    setText(text) {
      view.setState(view.state); // forget nothing but marks
      view.dispatch(
        { changes: { from: 0, to: view.state.doc.length, insert: text }, selection: { anchor: 0 } },
        setDiagnostics(view.state, []),
      );
      view.scrollDOM.scrollTop = 0;
    },
    // `diagnostics`: {line, column, message, severity, id}, counted from one.
    mark(diagnostics) {
      const doc = view.state.doc;
      const marks = diagnostics.map((found) => {
        const line = doc.line(Math.min(Math.max(found.line, 1), doc.lines));
        const from = Math.min(line.from + Math.max(found.column - 1, 0), line.to);
        const word = /^(?:\w+|\S)/.exec(doc.sliceString(from, line.to));
        return {
          from,
          to: Math.min(from + (word ? word[0].length : 0), line.to),
          severity: kinds[found.severity] ?? "info",
          source: found.id,
          message: found.message,
        };
      });
      view.dispatch(setDiagnostics(view.state, marks));
    },
    goTo(line, column) {
      const doc = view.state.doc;
      const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
      const anchor = Math.min(at.from + Math.max(column - 1, 0), at.to);
      view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: "center" }) });
      view.focus();
    },
    setReadOnly(value) {
      view.dispatch({
        effects: readOnly.reconfigure(value ? [EditorState.readOnly.of(true)] : []),
      });
    },
    focus: () => view.focus(),
  };
}
