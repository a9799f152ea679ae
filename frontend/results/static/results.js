// Shows the managers' pages from their JSON: whichever page this is.

import { answerPage } from "./answer.js";
import { byId } from "./dom.js";
import { overviewPage } from "./overview.js";
import { reviewPage } from "./review.js";

const data = JSON.parse(byId("data").textContent);
if (data.answer) answerPage(data);
else if (data.review) reviewPage(data);
else overviewPage(data);
