// The editor where the package was built without CodeMirror: a plain text field. The same methods
// as runtime_artifacts/editor/editor.js.

export function createEditor(parent, options) {
  const field = document.createElement("textarea");
  field.className = "plain";
  field.spellcheck = false;
  field.setAttribute("aria-label", options.label);
  field.setAttribute("autocapitalize", "off");
  field.placeholder = options.placeholder ?? "";
  field.addEventListener("input", options.changed);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      options.submit();
    }
  });
  parent.append(field);
  return {
    kind: "plain",
    getText: () => field.value,
    setText(text) {
      field.value = text;
      field.scrollTop = 0;
    },
    mark() {},
    goTo(line, column) {
      const lines = field.value.split("\n").slice(0, line - 1);
      const start = lines.reduce((sum, text) => sum + text.length + 1, 0) + column - 1;
      field.focus();
      field.setSelectionRange(start, start);
    },
    setReadOnly(value) {
      field.readOnly = value;
    },
    focus: () => field.focus(),
  };
}
