// What Heed's terms are called on the pages.

export const LABELS = {
  negative: "Negative",
  neutral: "Neutral",
  positive: "Positive",
  unknown: "No or unclear words",
};

export const REASONS = {
  text: "the words read negative",
  option: "the chosen option counts as unhappy",
  rating: "the rating counts as unhappy",
  contact: "the customer asks to be contacted",
};

export const TICKETS = {
  waiting: "Waiting",
  attempting: "Being opened",
  created: "Opened, note to come",
  opened: "Open",
  solved: "Solved",
  failed: "Failed",
};

/** What became of a selected answer, in a few words. */
export function ticketText(ticket) {
  if (!ticket) return "Ticket waiting";
  const name = ticket.desk_id === null ? "Ticket" : `Ticket ${ticket.desk_id}`;
  const status = (ticket.state === "opened" && ticket.desk_status) || TICKETS[ticket.state].toLowerCase();
  return `${name}: ${status}`;
}
