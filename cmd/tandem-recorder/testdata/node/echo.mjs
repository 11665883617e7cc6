// The handler returns what it gets. Callbacks, promises and streams are the runtime's business, not the recorder's.
export const handler = async (event) => event;
